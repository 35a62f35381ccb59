import type { Logger } from 'pino'

/** The logger of a node and of all that uses the node. */
export type SwarmLogger = Pick<Logger, 'debug' | 'info' | 'warn'>
