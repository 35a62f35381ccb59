import { tooLarge } from '../errors.ts'

const MAX_DEPTH = 200

/** Throws `CONSTRAINT_TOO_LARGE` for a value that would overflow the stack of whoever walks, prints or copies it. */
export function checkDepth(value: unknown): void {
  let level: unknown[] = [value]
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > MAX_DEPTH) throw tooLarge(`a schema nested deeper than ${MAX_DEPTH}`)
    level = level.flatMap((each) => (typeof each === 'object' && each !== null ? Object.values(each) : []))
  }
}
