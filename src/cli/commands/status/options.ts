import type { OptionValues } from '../../options/option-table.ts'
import { toolLogOptions } from '../../options/tables/running-options.ts'
import { lanOptions, swarmOptions } from '../../options/tables/swarm-options.ts'
import { modelOptions } from '../../options/tables/model-options.ts'

export const statusOptions = {
  ...modelOptions,
  model: { ...modelOptions.model, defaultDescription: 'every model that the peer knows' },
  ...swarmOptions,
  ...lanOptions,
  watch: {
    type: 'flag',
    group: 'Output',
    rivals: ['check'],
    description: 'Stay and draw what changes; lines where stdout is no terminal',
  },
  check: {
    type: 'flag',
    group: 'Output',
    rivals: ['watch'],
    description: 'End with exit code 3 where nobody serves some blocks, or nothing is served',
  },
  json: {
    type: 'flag',
    group: 'Output',
    description: 'Print one JSON object instead of tables; with --watch one per line, at each change and every 5 s',
  },
  ...toolLogOptions,
} as const

export type StatusValues = OptionValues<typeof statusOptions>
