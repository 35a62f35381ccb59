import type { OptionTable } from '../option-table.ts'
import { RUNNING } from './groups.ts'

const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const

/** Where options may be given besides the command line. */
export const configOptions = {
  config: {
    type: 'text',
    group: RUNNING,
    isFile: true,
    description: 'YAML file of options; flags and PETALS_ variables go before it',
  },
} as const satisfies OptionTable

/** The log of commands that run until they are stopped and show nothing but their log. */
export const nodeLogOptions = {
  ...configOptions,
  logLevel: {
    type: 'text',
    group: RUNNING,
    default: 'info',
    choices: LOG_LEVELS,
    description: 'Least severe messages to log on stderr',
  },
} as const satisfies OptionTable

/** The log of commands that show a result. */
export const toolLogOptions = {
  ...configOptions,
  logLevel: { ...nodeLogOptions.logLevel, default: 'warn' },
} as const satisfies OptionTable
