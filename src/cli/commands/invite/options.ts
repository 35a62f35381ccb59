import type { OptionValues } from '../../options/option-table.ts'
import { configOptions } from '../../options/tables/running-options.ts'
import { swarmOptions } from '../../options/tables/swarm-options.ts'

export const inviteOptions = {
  bootstrap: swarmOptions.bootstrap,
  swarmKey: swarmOptions.swarmKey,
  ...configOptions,
} as const

export type InviteValues = OptionValues<typeof inviteOptions>
