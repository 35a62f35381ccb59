import { defineCommand } from '../command.ts'
import { pullOptions } from './options.ts'

export const pullCommand = defineCommand({
  name: 'pull',
  summary: 'Download a model of the hub, or some of its blocks, so that it starts at once and without the hub',
  options: pullOptions,
  argument: 'model',
  examples: [
    ['$0 pull meta-llama/Llama-3.1-8B-Instruct', 'everything'],
    ['$0 pull meta-llama/Llama-3.1-8B-Instruct --blocks 0:16', 'what a server with these blocks loads'],
    ['$0 pull meta-llama/Llama-3.1-8B-Instruct --client', 'what "generate" and "chat" load'],
  ],
  run: async (values, context, argument) => (await import('./run.ts')).runPull(values, context, argument),
})
