import type { OptionValues } from '../options/option-table.ts'
import {
  adapterOptions,
  endsOptions,
  generationOptions,
  modelOptions,
  routeOptions,
  swarmOptions,
  threadOptions,
  toolLogOptions,
} from '../options/options.ts'

export const generateOptions = {
  ...modelOptions,
  ...adapterOptions,
  ...generationOptions,
  json: {
    type: 'flag',
    group: 'Output',
    description: 'Print one JSON object with all texts, token ids and times instead',
  },
  ...swarmOptions,
  ...routeOptions,
  ...endsOptions,
  ...threadOptions,
  ...toolLogOptions,
} as const

export type GenerateValues = OptionValues<typeof generateOptions>
