import { fusedGatedMlp } from '../parts/gated-mlp.ts'
import { llamaLike, type LlamaParts } from '../parts/llama-like.ts'

/** What GLM-4 and its successors have in common. */
export const GLM: Partial<LlamaParts> = {
  attentionOptions: () => ({ interleaved: true }),
  outputBias: () => false,
  mlp: fusedGatedMlp,
}

/**
 * GLM-4 (GLM Team, "ChatGLM: A Family of Large Language Models"): Llama with one fused matrix for gate and up, and with
 * half of each head's channels rotated, in pairs of neighbours.
 */
export const glm = llamaLike(GLM)
