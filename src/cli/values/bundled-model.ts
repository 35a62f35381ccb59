import { fileURLToPath } from 'node:url'
import { PACKAGE_ROOT } from '../../base/package-root.ts'

/** The small model in the package; the default of `--model`. */
export const BUNDLED_MODEL = fileURLToPath(new URL('models/demo', PACKAGE_ROOT))

/** Prompts for this model with the continuations of the reference implementation. */
export const BUNDLED_GOLDEN = fileURLToPath(new URL('models/demo-golden.json', PACKAGE_ROOT))
