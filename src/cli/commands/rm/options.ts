import type { OptionValues } from '../../options/option-table.ts'
import { configOptions } from '../../options/tables/running-options.ts'

export const rmOptions = {
  keepShared: {
    type: 'flag',
    group: 'Cache',
    description: "Delete only parts of files, and keep what is shared with Python's huggingface_hub",
  },
  json: { type: 'flag', group: 'Output', description: 'Print one JSON object instead of a line' },
  ...configOptions,
} as const

export type RmValues = OptionValues<typeof rmOptions>
