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

/**
 * The user asked for something impossible (code `USAGE`). The command line prints the message as one sentence, without
 * a stack.
 */
export class UsageError extends PetalsError {
  constructor(message: string, options?: ErrorOptions) {
    super('USAGE', message, options)
  }
}

/**
 * A time limit ran out (code `TIMEOUT`). The message is "timed out after 3 s: " followed by `what`, the thing waited
 * for.
 */
export class TimeoutError extends PetalsError {
  constructor(what: string, timeoutMs: number) {
    super('TIMEOUT', `timed out after ${timeoutMs / 1000} s: ${what}`)
  }
}

/** The message of anything that was thrown; of a value that is no Error, its text. */
export function errorMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** The stable code of an error that this project raised; `INTERNAL` for everything else. */
export function errorCode(error: unknown): string {
  return error instanceof PetalsError ? error.code : 'INTERNAL'
}

/**
 * Error codes after which the same request may succeed when it is tried again, on this server or on another one: they
 * say nothing against the request itself. A peer's error arrives as a code without its class, so the table lists codes.
 */
const TRANSIENT_CODES: ReadonlySet<string> = new Set([
  'CACHE_OUTGROWN',
  'CHAT_PRINTER',
  'DRAINING',
  'ENGINE_CLOSED',
  'ENGINE_LOAD',
  'ENGINE_LOST',
  'HOP_UNKNOWN',
  'HOP_UNREACHABLE',
  'INTERNAL',
  'NO_ROUTE',
  'REMOTE',
  'RUNTIME',
  'RUNTIME_CANCELLED',
  'RUNTIME_DEVICE_LOST',
  'RUNTIME_KERNEL',
  'RUNTIME_MEMORY',
  'SESSION_ANSWER',
  'SESSION_DISPLACED',
  'SESSION_LOST',
  'SESSION_OUTPUTS_GONE',
  'SESSION_POSITION',
  'SESSION_SOURCE',
  'SESSION_STALLED',
  'SESSION_STEP',
  'SWARM_ADDRESS',
  'SWARM_BACKLOG',
  'SWARM_BUSY',
  'SWARM_FRAME',
  'SWARM_HANDSHAKE',
  'SWARM_PROTOCOL',
  'SWARM_RECORD',
  'SWARM_RECORD_TIME',
  'SWARM_REFUSED',
  'SWARM_SELF',
  'SWARM_SIGNATURE',
  'SWARM_STATE',
  'SWARM_STREAM_LOST',
  'SWARM_TIMEOUT',
  'SWARM_UNREACHABLE',
  'SWARM_VERSION',
  'TENSOR_NONFINITE',
  'TIMEOUT',
  'TRAINING_MEMORY',
  'TRAINING_OFF',
])

/**
 * Whether the same request may succeed when it is tried again, on this server or on another one. False for errors that
 * this project did not raise.
 */
export function isTransient(error: unknown): boolean {
  return error instanceof PetalsError && TRANSIENT_CODES.has(error.code)
}
