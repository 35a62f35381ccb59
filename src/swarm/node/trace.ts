import { randomBytes } from 'node:crypto'
import type { SwarmLogger } from '../logger.ts'

/**
 * A fresh id under which one request is found in the logs of all nodes that it passes. It opens nothing and is no
 * secret.
 */
export function newTrace(): string {
  return randomBytes(8).toString('hex')
}

/** A logger whose lines all tell the request's id. */
export type TracedLogger = Record<'debug' | 'info' | 'warn', (fields: object, message: string) => void>

/** The logger with the request's id on every line. */
export function tracedLogger(logger: SwarmLogger, trace: string | undefined): TracedLogger {
  const fields = { trace: trace ?? 'none' }
  return {
    debug: (data, message) => logger.debug({ ...fields, ...data }, message),
    info: (data, message) => logger.info({ ...fields, ...data }, message),
    warn: (data, message) => logger.warn({ ...fields, ...data }, message),
  }
}
