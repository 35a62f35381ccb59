import { COHERE } from './cohere.ts'
import { llamaLike } from '../parts/llama-like.ts'

/**
 * Command R7B and Command A (Cohere, "Command A: An Enterprise-Ready Large Language Model"): three of four layers have
 * a window, the others no position embedding.
 */
export const cohere2 = llamaLike(COHERE)
