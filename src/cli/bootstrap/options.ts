import type { OptionValues } from '../options/option-table.ts'
import { metricsOptions } from '../options/server-options.ts'
import { lanOptions, nodeLogOptions, nodeOptions, swarmOptions } from '../options/options.ts'

export const bootstrapOptions = { ...swarmOptions, ...lanOptions, ...nodeOptions, ...metricsOptions, ...nodeLogOptions }

export type BootstrapValues = OptionValues<typeof bootstrapOptions>
