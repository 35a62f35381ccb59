import type { OptionValues } from '../options/option-table.ts'
import { nodeLogOptions, nodeOptions, swarmOptions } from '../options/options.ts'

export const bootstrapOptions = { ...swarmOptions, ...nodeOptions, ...nodeLogOptions }

export type BootstrapValues = OptionValues<typeof bootstrapOptions>
