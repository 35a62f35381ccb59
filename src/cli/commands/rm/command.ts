import { defineCommand } from '../command.ts'
import { rmOptions } from './options.ts'

export const rmCommand = defineCommand({
  name: 'rm',
  summary: 'Delete a model of the hub from this disk',
  options: rmOptions,
  argument: 'model',
  examples: [['$0 rm org/name', '"petals-node list" shows what is here']],
  run: async (values, _, argument) => (await import('./run.ts')).runRm(values, argument),
})
