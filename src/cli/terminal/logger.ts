import { type Logger, pino } from 'pino'

const STDERR = 2

/**
 * Terminal sequence that clears the line from the cursor on, because a progress bar may be where a log line is written.
 */
export const REST_OF_LINE = '\x1b[K'

/**
 * A log on stderr: readable lines on a terminal, JSON lines elsewhere. Writes synchronously, so that the last lines
 * before an exit are not lost.
 */
export async function createLogger(level: string): Promise<Logger> {
  const base = { level, base: null }
  const stderr = pino.destination({ dest: STDERR, sync: true })
  if (!process.stderr.isTTY) return pino(base, stderr)
  const { default: pretty } = await import('pino-pretty')
  const format = pretty.prettyFactory({
    colorize: process.stderr.hasColors(),
    singleLine: true,
    translateTime: 'HH:MM:ss',
  })
  return pino(base, {
    write: (line) => {
      stderr.write(format(line).replace(/\n$/, `${REST_OF_LINE}\n`))
    },
  })
}
