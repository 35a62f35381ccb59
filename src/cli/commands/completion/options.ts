import { basename } from 'node:path'
import type { OptionValues } from '../../options/option-table.ts'
import { configOptions } from '../../options/tables/running-options.ts'

export const SHELLS = ['bash', 'zsh', 'fish'] as const
const ofUser = SHELLS.find((shell) => shell === basename(process.env['SHELL'] ?? '')) ?? 'bash'

export const completionOptions = {
  shell: {
    type: 'text',
    group: 'Output',
    choices: SHELLS,
    default: ofUser,
    defaultDescription: 'that of $SHELL, or bash',
    description: 'Which shell',
  },
  ...configOptions,
} as const

export type CompletionValues = OptionValues<typeof completionOptions>
