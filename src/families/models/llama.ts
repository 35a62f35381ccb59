import { llamaLike } from '../parts/llama-like.ts'

/**
 * Llama (Touvron et al., "LLaMA: Open and Efficient Foundation Language Models") and its successors up to Llama 3.3.
 */
export const llama = llamaLike()
