import { defineCommand } from './command.ts'
import type { OptionValues } from './option-table.ts'
import { modelOptions, swarmOptions, toolLogOptions } from './options.ts'

const options = {
  ...modelOptions,
  model: { ...modelOptions.model, defaultDescription: 'every model that the peer knows' },
  ...swarmOptions,
  json: { type: 'flag', group: 'Output', description: 'Print one JSON object instead of tables' },
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
    ['$0 status --bootstrap ADDR --json', 'for a script'],
  ],
  run: async (values, context) => (await import('./status/run.ts')).runStatus(values, context),
})
