import type { OptionValues } from '../../options/option-table.ts'
import { metricsOptions } from '../../options/tables/server-options.ts'
import { nodeLogOptions } from '../../options/tables/running-options.ts'
import { lanOptions, nodeOptions, swarmOptions } from '../../options/tables/swarm-options.ts'

export const bootstrapOptions = { ...swarmOptions, ...lanOptions, ...nodeOptions, ...metricsOptions, ...nodeLogOptions }

export type BootstrapValues = OptionValues<typeof bootstrapOptions>
