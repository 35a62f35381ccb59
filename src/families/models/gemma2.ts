import { gemmaLike } from './gemma-like.ts'

/**
 * Gemma 2 (Riviere et al., "Gemma 2: Improving Open Language Models at a Practical Size"): every other layer has a
 * window.
 */
export const gemma2 = gemmaLike({ scoreCap: 50, logitCap: 30 })
