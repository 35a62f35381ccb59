import type { Logger } from 'pino'

/** Where a node and all that goes through it log to. */
export type SwarmLogger = Pick<Logger, 'debug' | 'info' | 'warn'>
