import { defineCommand } from '../command.ts'
import type { OptionValues } from '../options/option-table.ts'
import {
  computeOptions,
  modelOptions,
  nodeOptions,
  serverOptions,
  swarmOptions,
  toolLogOptions,
} from '../options/options.ts'

const { device, dtype, quant, kvDtype, attnCacheTokens } = computeOptions
const { listen, announce, identity } = nodeOptions
const { metricsHost, metricsPort } = serverOptions

const options = {
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
  listen,
  announce,
  identity,
  metricsPort,
  metricsHost,
  json: { type: 'flag', group: 'Output', description: 'Print one JSON object instead of a table' },
  ...toolLogOptions,
} as const

export type DoctorValues = OptionValues<typeof options>

export const doctorCommand = defineCommand({
  name: 'doctor',
  summary: 'Check and explain what this machine can do, and how the swarm sees it',
  options,
  examples: [
    ['$0 doctor', 'this machine: Node, runtime, CUDA, memory, disk'],
    ['$0 doctor --model org/name', 'how many of its blocks fit, before anything is downloaded'],
    ['$0 doctor --bootstrap ADDR --listen /ip4/0.0.0.0/tcp/31337', 'also whether others can reach it'],
  ],
  run: async (values, context) => (await import('./run.ts')).runDoctor(values, context),
})
