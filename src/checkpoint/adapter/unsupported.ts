import { PetalsError } from '../../base/errors.ts'

/** The error of an adapter that does something else than what is supported: what it does, and why not. */
export function unsupported(file: string, what: string, why: string): PetalsError {
  return new PetalsError('ADAPTER_UNSUPPORTED', `${file}: ${what}: ${why}`)
}
