import { createInterface } from 'node:readline'
import { PetalsError } from '../../base/errors.ts'

export interface LineOptions {
  readonly signal: AbortSignal
  /** Whether the next line is asked for after a failure, which is told then; otherwise the failure ends it all. */
  readonly patient: boolean
  readonly onError: (error: unknown) => void
}

/** Hands each line of stdin to `take`, one after another, until that gives false, the input ends, or the signal. */
export async function readLines(
  take: (line: string) => Promise<boolean>,
  { signal, patient, onError }: LineOptions,
): Promise<void> {
  const lines = createInterface({
    input: process.stdin,
    ...(patient && { output: process.stderr, prompt: '\n> ' }),
    signal,
  })
  // On a terminal, readline takes Ctrl-C for itself.
  lines.on('SIGINT', () => process.kill(process.pid, 'SIGINT'))
  if (patient) lines.prompt()
  try {
    for await (const line of lines) {
      try {
        if (!(await take(line))) return
      } catch (error) {
        if (!(error instanceof PetalsError)) throw error
        onError(error)
        if (!patient) throw error
      }
      if (patient) lines.prompt()
    }
  } finally {
    lines.close()
  }
}
