import { defineCommand } from '../command.ts'
import type { OptionValues } from '../options/option-table.ts'
import { modelOptions, swarmOptions, toolLogOptions } from '../options/options.ts'

const options = {
  ...modelOptions,
  model: { ...modelOptions.model, defaultDescription: 'every model that the peer knows' },
  ...swarmOptions,
  watch: {
    type: 'flag',
    group: 'Output',
    description: 'Stay and draw what changes; lines where stdout is no terminal',
  },
  json: {
    type: 'flag',
    group: 'Output',
    description: 'Print one JSON object instead of tables; with --watch one per line',
  },
  ...toolLogOptions,
} as const

export type StatusValues = OptionValues<typeof options>

export const statusCommand = defineCommand({
  name: 'status',
  summary: 'Show who holds what in a swarm, and which blocks nobody holds',
  options,
  examples: [
    ['$0 status --bootstrap ADDR', 'all models of the swarm'],
    ['$0 status --bootstrap ADDR --model ./llama', 'one model, also while nobody serves it'],
    ['$0 status --bootstrap ADDR --watch', 'live; q or Ctrl-C leaves'],
    ['$0 status --bootstrap ADDR --json', 'for a script'],
  ],
  run: async (values, context) => (await import('./run.ts')).runStatus(values, context),
})
