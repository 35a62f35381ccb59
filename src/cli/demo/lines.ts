import { createInterface } from 'node:readline'
import { PetalsError } from '../../base/errors.ts'

/**
 * Passes each line of stdin to `answer`, one after another, until an empty line, the end of input, or the signal is
 * aborted.
 */
export async function continueLines(answer: (line: string) => Promise<void>, signal: AbortSignal): Promise<void> {
  const lines = createInterface({ input: process.stdin, output: process.stderr, prompt: '\n> ', signal })
  // On a terminal readline catches Ctrl-C; this passes it on to the process.
  lines.on('SIGINT', () => process.kill(process.pid, 'SIGINT'))
  lines.prompt()
  try {
    for await (const line of lines) {
      if (line.trim() === '') return
      await answer(line).catch((error: unknown) => {
        if (!(error instanceof PetalsError)) throw error
        process.stderr.write(`${error.message}\n`)
      })
      lines.prompt()
    }
  } finally {
    lines.close()
  }
}
