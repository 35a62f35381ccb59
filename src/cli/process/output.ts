import { EXIT_CODES } from './exit-codes.ts'

const REASONS: Readonly<Record<string, string>> = {
  EPIPE: 'nobody reads it any more',
  ENOSPC: 'the disk is full',
}

/**
 * Ends the program with one line on stderr once stdout takes nothing any more, because its reader is gone (`| head`) or
 * a disk is full: a result that did not arrive is no success. Call it before anything is written.
 */
export function watchOutput(): void {
  process.stdout.on('error', ({ code = '', message }: NodeJS.ErrnoException) => {
    process.stderr.write(`petals-node: cannot write the output: ${REASONS[code] ?? message}\n`)
    process.exit(EXIT_CODES.failed)
  })
  // Where even messages arrive nowhere, the exit code alone must do.
  process.stderr.on('error', () => process.exit(EXIT_CODES.failed))
}
