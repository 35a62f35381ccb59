import { fileURLToPath } from 'node:url'

/** The small model that comes with the package: what `--model` means where it is left out. */
export const BUNDLED_MODEL = fileURLToPath(new URL('../../../models/demo', import.meta.url))

/** Prompts, and the continuations that the reference implementation gives for them. */
export const BUNDLED_GOLDEN = fileURLToPath(new URL('../../../models/demo-golden.json', import.meta.url))
