import { gemmaLike, normaliseHeads } from './gemma-like.ts'

/**
 * Kamath et al., "Gemma 3 Technical Report": five windowed layers with a RoPE of their own for each full one, no soft
 * caps.
 */
export const gemma3 = gemmaLike({ scoreCap: null, logitCap: undefined, prepareHeads: normaliseHeads })
