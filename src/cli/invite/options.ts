import type { OptionValues } from '../options/option-table.ts'
import { configOptions, swarmOptions } from '../options/options.ts'

export const inviteOptions = {
  bootstrap: swarmOptions.bootstrap,
  swarmKey: swarmOptions.swarmKey,
  ...configOptions,
} as const

export type InviteValues = OptionValues<typeof inviteOptions>
