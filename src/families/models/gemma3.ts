import { gemmaLike, normaliseHeads } from './gemma-like.ts'

/**
 * Gemma 3 (Kamath et al., "Gemma 3 Technical Report"): for each layer with full attention five windowed ones, which
 * have another rotary embedding; no soft caps.
 */
export const gemma3 = gemmaLike({ scoreCap: null, logitCap: undefined, prepareHeads: normaliseHeads })
