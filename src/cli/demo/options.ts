import type { OptionValues } from '../options/option-table.ts'
import { serversOptions, toolLogOptions } from '../options/options.ts'

export const demoOptions = {
  once: { type: 'flag', group: 'Demo', description: 'Print the continuation of one prompt on stdout and end' },
  ...serversOptions,
  ...toolLogOptions,
} as const

export type DemoValues = OptionValues<typeof demoOptions>
