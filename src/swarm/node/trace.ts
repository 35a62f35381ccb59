import { randomBytes } from 'node:crypto'
import type { SwarmLogger } from '../logger.ts'

/** A random id for one request, logged by all nodes that the request passes. It grants nothing and is no secret. */
export function newTrace(): string {
  return randomBytes(8).toString('hex')
}

/** How all nodes know a request. */
export interface RequestTrace {
  readonly trace: string
  /** The trace that it is part of, where it is part of a larger one: as `Tracing.context` gives it. */
  readonly traceContext?: string | undefined
}

/** A logger that puts the request's id on every line. */
export type TracedLogger = Record<'debug' | 'info' | 'warn', (fields: object, message: string) => void>

/** Makes a logger that puts the request's id on every line. */
export function tracedLogger(logger: SwarmLogger, trace: string | undefined): TracedLogger {
  const fields = { trace: trace ?? 'none' }
  return {
    debug: (data, message) => logger.debug({ ...fields, ...data }, message),
    info: (data, message) => logger.info({ ...fields, ...data }, message),
    warn: (data, message) => logger.warn({ ...fields, ...data }, message),
  }
}
