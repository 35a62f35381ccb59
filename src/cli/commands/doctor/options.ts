import type { OptionValues } from '../../options/option-table.ts'
import { toolLogOptions } from '../../options/tables/running-options.ts'
import { computeOptions } from '../../options/tables/compute-options.ts'
import { lanOptions, nodeOptions, swarmOptions } from '../../options/tables/swarm-options.ts'
import { modelOptions } from '../../options/tables/model-options.ts'
import { serverOptions } from '../../options/tables/server-options.ts'

const { device, dtype, quant, kvDtype, attnCacheTokens } = computeOptions
const { port, listen, announce, identity } = nodeOptions
const { metricsHost, metricsPort } = serverOptions

export const doctorOptions = {
  model: {
    ...modelOptions.model,
    defaultDescription: 'no plan',
    description: `${modelOptions.model.description}, to plan for`,
  },
  device,
  dtype,
  quant,
  kvDtype,
  attnCacheTokens,
  ...swarmOptions,
  ...lanOptions,
  port,
  listen,
  announce,
  identity,
  metricsPort,
  metricsHost,
  json: { type: 'flag', group: 'Output', description: 'Print one JSON object instead of a table' },
  ...toolLogOptions,
} as const

export type DoctorValues = OptionValues<typeof doctorOptions>
