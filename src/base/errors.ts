/**
 * The one base class of every error that this project raises on purpose. `code` is stable: callers and remote peers
 * branch on it, documentation lists it; the message is for people and says what was wrong, with what value, and what to do.
 */
export class PetalsError extends Error {
  readonly code: string

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = new.target.name
    this.code = code
  }
}

/** The user asked for something that cannot be: printed as one sentence, without a stack. */
export class UsageError extends PetalsError {
  constructor(message: string, options?: ErrorOptions) {
    super('USAGE', message, options)
  }
}

/** A limit of time ran out. `what` reads on from "timed out after 3 s: ". */
export class TimeoutError extends PetalsError {
  constructor(what: string, timeoutMs: number) {
    super('TIMEOUT', `timed out after ${timeoutMs / 1000} s: ${what}`)
  }
}

export function errorMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

export function errorCode(error: unknown): string {
  return error instanceof PetalsError ? error.code : 'INTERNAL'
}
