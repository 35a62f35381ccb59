import { defineCommand } from '../command.ts'
import { bootstrapOptions } from './options.ts'

export const bootstrapCommand = defineCommand({
  name: 'bootstrap',
  summary: 'Run a node that computes nothing and through which others find one another',
  options: bootstrapOptions,
  examples: [
    ['$0 bootstrap --port 24640 --identity ~/.petals/key', 'a well-known address to begin with'],
    ['$0 bootstrap --bootstrap ADDR', 'a second one, in case the first is down'],
  ],
  run: async (values, context) => (await import('./run.ts')).runBootstrap(values, context),
})
