import { type Logger, pino } from 'pino'

const STDERR = 2

/**
 * A log on stderr: readable lines on a terminal, JSON lines elsewhere. Written synchronously, so that the last lines before
 * an exit are never lost.
 */
export async function createLogger(level: string): Promise<Logger> {
  const base = { level, base: null }
  if (!process.stderr.isTTY) return pino(base, pino.destination({ dest: STDERR, sync: true }))
  const { default: pretty } = await import('pino-pretty')
  return pino(base, pretty({ destination: STDERR, sync: true, singleLine: true, translateTime: 'HH:MM:ss' }))
}
