import { defineCommand } from '../command.ts'
import { statusOptions } from './options.ts'

export const statusCommand = defineCommand({
  name: 'status',
  summary: 'Show who holds what in a swarm, and which blocks nobody holds',
  options: statusOptions,
  examples: [
    ['$0 status --bootstrap ADDR', 'all models of the swarm'],
    ['$0 status --bootstrap ADDR --model ./llama', 'one model, also while nobody serves it'],
    ['$0 status --bootstrap ADDR --watch', 'live; q or Ctrl-C leaves'],
    ['$0 status --bootstrap ADDR --json', 'for a script'],
    [
      '$0 status --bootstrap ADDR --model ./llama --check',
      'whether somebody serves all of its blocks: exit code 0 or 3',
    ],
  ],
  run: async (values, context) => (await import('./run.ts')).runStatus(values, context),
})
