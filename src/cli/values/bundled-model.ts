import { fileURLToPath } from 'node:url'

/** The small model in the package; the default of `--model`. */
export const BUNDLED_MODEL = fileURLToPath(new URL('../../../models/demo', import.meta.url))

/** Prompts for this model with the continuations of the reference implementation. */
export const BUNDLED_GOLDEN = fileURLToPath(new URL('../../../models/demo-golden.json', import.meta.url))
