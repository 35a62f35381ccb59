import type { OptionValues } from '../../options/option-table.ts'
import { toolLogOptions } from '../../options/tables/running-options.ts'
import { serversOptions } from '../../options/tables/compute-options.ts'

export const demoOptions = {
  once: { type: 'flag', group: 'Demo', description: 'Print the continuation of one prompt on stdout and end' },
  ...serversOptions,
  ...toolLogOptions,
} as const

export type DemoValues = OptionValues<typeof demoOptions>
