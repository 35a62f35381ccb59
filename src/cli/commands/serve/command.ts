import { defineCommand } from '../command.ts'
import { serveOptions } from './options.ts'

export const serveCommand = defineCommand({
  name: 'serve',
  summary: "Hold a span of a model's blocks and compute it for others",
  options: serveOptions,
  examples: [
    ['$0 serve --model ./llama', 'start a swarm with all blocks of a model; the log says how others join it'],
    ['$0 serve --model ./llama --blocks 10:20 --bootstrap ADDR', 'join a swarm with blocks 10 to 19'],
    ['$0 serve --port 24640 --identity ~/.petals/key', 'keep the same address over restarts'],
    ['$0 serve --bootstrap ADDR --api-port 8000', 'and answer clients of the OpenAI API, through all spans'],
    ['$0 serve --metrics-port 24641', 'serve /metrics and /health on this machine'],
  ],
  run: async (values, context) => (await import('./run.ts')).runServe(values, context),
})
