import { defineCommand } from '../command.ts'
import { keygenOptions } from './options.ts'

export const keygenCommand = defineCommand({
  name: 'keygen',
  summary: 'Make the key of a private swarm: nodes with another one, or none, cannot talk to those that have it',
  options: keygenOptions,
  examples: [
    ['$0 keygen --out swarm.key', 'then copy swarm.key to every machine, and give each node --swarm-key swarm.key'],
  ],
  run: async (values) => (await import('./run.ts')).runKeygen(values),
})
