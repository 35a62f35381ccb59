import type { OptionValues } from '../../options/option-table.ts'
import { toolLogOptions } from '../../options/tables/running-options.ts'
import { serversOptions } from '../../options/tables/compute-options.ts'
import { routeOptions, swarmOptions } from '../../options/tables/swarm-options.ts'
import { modelOptions } from '../../options/tables/model-options.ts'

export const verifyOptions = {
  ...modelOptions,
  ...swarmOptions,
  ...routeOptions,
  ...serversOptions,
  golden: {
    type: 'text',
    group: 'Verification',
    description: 'Reference: golden.safetensors, or a .json of greedy texts',
    defaultDescription: 'golden.safetensors beside the model',
  },
  cuts: {
    type: 'text',
    group: 'Verification',
    description: 'One partition, e.g. 1,2 for 0:1, 1:2, 2:N',
    defaultDescription: 'each single cut, then all at once',
  },
  json: { type: 'flag', group: 'Output', description: 'Print the rows as a JSON array on stdout' },
  ...toolLogOptions,
} as const

export type VerifyValues = OptionValues<typeof verifyOptions>
