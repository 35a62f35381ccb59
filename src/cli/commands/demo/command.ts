import { defineCommand } from '../command.ts'
import { demoOptions } from './options.ts'

export const demoCommand = defineCommand({
  name: 'demo',
  summary: 'Start a small swarm on this machine, watch it form, and have it continue your texts',
  options: demoOptions,
  examples: [
    ['$0 demo', 'three servers share the blocks of the bundled model; an empty line or Ctrl-D leaves'],
    ['$0 demo --once', 'one text on stdout, to see that everything works'],
  ],
  run: async (values, context) => (await import('./run.ts')).runDemo(values, context),
})
