import { defineCommand } from '../command.ts'
import { listOptions } from './options.ts'

export const listCommand = defineCommand({
  name: 'list',
  summary: 'Show which models of the hub, and which of their blocks, are on this disk',
  options: listOptions,
  examples: [
    ['$0 list', '"petals-node rm org/name" deletes one'],
    ['$0 list --json', 'for a script, sizes in bytes'],
  ],
  run: async (values) => (await import('./run.ts')).runList(values),
})
