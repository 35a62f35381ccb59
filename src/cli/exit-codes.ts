import { UsageError } from '../base/errors.ts'

/** What the exit code of every command means; 128 + N says that signal N cut it short. */
export const EXIT_CODES = {
  ok: 0,
  failed: 1,
  usage: 2,
  hangup: 129,
  interrupted: 130,
  terminated: 143,
} as const

/** The work was cut short on request: nothing to report. */
export class InterruptedError extends Error {
  readonly exitCode: number

  constructor(exitCode: number) {
    super('interrupted')
    this.exitCode = exitCode
  }
}

export function exitCodeOf(error: unknown): number {
  if (error instanceof InterruptedError) return error.exitCode
  return error instanceof UsageError ? EXIT_CODES.usage : EXIT_CODES.failed
}
