import type { OptionValues } from '../../options/option-table.ts'
import { configOptions } from '../../options/tables/running-options.ts'

export const listOptions = {
  json: { type: 'flag', group: 'Output', description: 'Print one JSON object instead of a table' },
  ...configOptions,
} as const

export type ListValues = OptionValues<typeof listOptions>
