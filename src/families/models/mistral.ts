import { llamaLike } from '../parts/llama-like.ts'

/** Mistral (Jiang et al., "Mistral 7B"): Llama whose layers attend within a sliding window. */
export const mistral = llamaLike()
