import { checkOneDirection, NORM_OFFSET } from './gemma-like.ts'
import { llamaLike } from '../parts/llama-like.ts'

/** Gemma (Gemma Team, "Gemma: Open Models Based on Gemini Research and Technology"): Llama with scaled embeddings. */
export const gemma = llamaLike({
  norm: (layers, { normEps }, x, name) => layers.rmsNorm(x, name, normEps, NORM_OFFSET),
  multipliers: ({ hiddenSize }) => ({ embedding: Math.sqrt(hiddenSize) }),
  check: checkOneDirection,
})
