import type { OptionValues } from '../../options/option-table.ts'
import { configOptions } from '../../options/tables/running-options.ts'

export const keygenOptions = {
  out: {
    type: 'text',
    group: 'Output',
    isFile: true,
    defaultDescription: 'stdout',
    description: 'File to write the key into, which nobody else may read; one that exists is left alone',
  },
  ...configOptions,
} as const

export type KeygenValues = OptionValues<typeof keygenOptions>
