import { llamaLike } from '../parts/llama-like.ts'

/** SmolLM3 (Hugging Face): Llama in which every fourth layer has no position embedding. */
export const smollm3 = llamaLike()
