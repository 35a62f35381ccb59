/**
 * The one base class of every error that this project raises on purpose. `code` is stable: callers and remote peers
 * branch on it, documentation lists it; the message is for people and says what was wrong, with what value, and what to
 * do.
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

/**
 * Codes of failures that say nothing about the request itself: another try, or another server, may do better. A peer's
 * fault travels as its code, so the table is by code and not by class.
 */
const TRANSIENT_CODES: ReadonlySet<string> = new Set([
  'CACHE_OUTGROWN',
  'DRAINING',
  'ENGINE_CLOSED',
  'ENGINE_LOAD',
  'ENGINE_LOST',
  'HOP_UNKNOWN',
  'INTERNAL',
  'NO_ROUTE',
  'REMOTE',
  'RUNTIME',
  'RUNTIME_CANCELLED',
  'RUNTIME_DEVICE_LOST',
  'RUNTIME_KERNEL',
  'RUNTIME_MEMORY',
  'SESSION_LOST',
  'SESSION_OUTPUTS_GONE',
  'SESSION_POSITION',
  'SESSION_STALLED',
  'SWARM_ADDRESS',
  'SWARM_BACKLOG',
  'SWARM_BUSY',
  'SWARM_FRAME',
  'SWARM_HANDSHAKE',
  'SWARM_PROTOCOL',
  'SWARM_RECORD',
  'SWARM_RECORD_TIME',
  'SWARM_SELF',
  'SWARM_STATE',
  'SWARM_STREAM_LOST',
  'SWARM_TIMEOUT',
  'SWARM_UNREACHABLE',
  'SWARM_VERSION',
  'TIMEOUT',
])

/** Whether another try, or another server, may do better. Only errors raised on purpose can be. */
export function isTransient(error: unknown): boolean {
  return error instanceof PetalsError && TRANSIENT_CODES.has(error.code)
}
