import { PetalsError, UsageError } from '../../base/errors.ts'

/** The exit codes of all commands; 128 + N means that signal N ended the program. */
export const EXIT_CODES = {
  ok: 0,
  failed: 1,
  usage: 2,
  unavailable: 3,
  lost: 4,
  hangup: 129,
  interrupted: 130,
  terminated: 143,
} as const

/** What each exit code means, for the reference page. */
export const EXIT_CODE_MEANINGS: Readonly<Record<keyof typeof EXIT_CODES, string>> = {
  ok: 'done; a node that was told to stop has drained and closed everything',
  failed: 'failed, or a check found something wrong; the message on stderr says what',
  usage:
    'an option, a variable or a line of the config file cannot be, or names a file that cannot be read; ' +
    'trying again does not help',
  unavailable:
    'the swarm could not be reached in time, has another key, or nobody serves some blocks ' +
    '(of status: with --check); trying again later may help',
  lost:
    'a server lost its device or its engine and could not load the span again; ' +
    'a new process may (--supervise, systemd)',
  hangup: 'cut short by SIGHUP',
  interrupted: 'cut short by Ctrl-C (SIGINT), or stopped at once by a second one',
  terminated: 'cut short by SIGTERM, or stopped at once by a second one',
}

/** Codes of errors that mean that the swarm cannot be reached just now; the command itself was right. */
const UNAVAILABLE = new Set(['SWARM_UNREACHABLE', 'SWARM_HANDSHAKE', 'SWARM_TIMEOUT', 'NO_ROUTE', 'TIMEOUT'])

/** Codes of errors about what an option names. */
const WRONG_VALUE = new Set(['SWARM_ADDRESS', 'SWARM_KEY', 'SWARM_TOKEN', 'SWARM_IDENTITY', 'TOKEN_ID'])

/** The work was interrupted on request; there is nothing to report. */
export class InterruptedError extends Error {
  readonly exitCode: number

  constructor(exitCode: number) {
    super('interrupted')
    this.exitCode = exitCode
  }
}

/** The exit code for an error. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof InterruptedError) return error.exitCode
  if (error instanceof UsageError || (error instanceof PetalsError && WRONG_VALUE.has(error.code)))
    return EXIT_CODES.usage
  if (error instanceof PetalsError && error.code === 'SPAN_LOST') return EXIT_CODES.lost
  return error instanceof PetalsError && UNAVAILABLE.has(error.code) ? EXIT_CODES.unavailable : EXIT_CODES.failed
}
