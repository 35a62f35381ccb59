import { createInterface } from 'node:readline'
import { PetalsError } from '../../base/errors.ts'

/** How lines are read. */
export interface LineOptions {
  readonly signal: AbortSignal
  /** Whether an error goes to `onError` and the next line is asked for; otherwise the first error ends the reading. */
  readonly patient: boolean
  readonly onError: (error: unknown) => void
}

/**
 * Passes each line of stdin to `take`, one after another, until `take` returns false, the input ends, or the signal is
 * aborted.
 */
export async function readLines(
  take: (line: string) => Promise<boolean>,
  { signal, patient, onError }: LineOptions,
): Promise<void> {
  const lines = createInterface({
    input: process.stdin,
    ...(patient && { output: process.stderr, prompt: '\n> ' }),
    signal,
  })
  // On a terminal readline catches Ctrl-C; this passes it on to the process.
  lines.on('SIGINT', () => process.kill(process.pid, 'SIGINT'))
  if (patient) lines.prompt()
  try {
    for await (const line of lines) {
      try {
        if (!(await take(line))) return
      } catch (error) {
        if (!(error instanceof PetalsError)) throw error
        if (!patient) throw error
        onError(error)
      }
      if (patient) lines.prompt()
    }
  } finally {
    lines.close()
  }
}
