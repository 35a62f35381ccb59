import { PetalsError } from '../../base/errors.ts'

/** A part of a constraint that cannot be enforced. Names the keyword and its path. */
export function unsupported(path: string, keyword: string, why: string): PetalsError {
  return new PetalsError('CONSTRAINT_UNSUPPORTED', `${keyword} at ${path}: ${why}`)
}

/** A constraint, or a part of it, that is no constraint at all. */
export function invalid(path: string, problem: string, value?: unknown): PetalsError {
  return new PetalsError(
    'CONSTRAINT_INVALID',
    `${path}: ${problem}${value === undefined ? '' : `; it is ${shown(value)}`}`,
  )
}

/** A constraint that no text fulfils. */
export function unsatisfiable(path: string, why: string): PetalsError {
  return new PetalsError('CONSTRAINT_UNSATISFIABLE', `${path}: ${why}`)
}

/** A constraint that would take too much time or memory. */
export function tooLarge(what: string): PetalsError {
  return new PetalsError('CONSTRAINT_TOO_LARGE', `${what}: make the constraint simpler`)
}

function shown(value: unknown): string {
  return (JSON.stringify(value) ?? String(value)).slice(0, 80)
}
