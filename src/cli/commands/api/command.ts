import { defineCommand } from '../command.ts'
import { apiCommandOptions } from './options.ts'

export const apiCommand = defineCommand({
  name: 'api',
  summary: "Answer OpenAI's and Anthropic's clients over HTTP, with models that swarms hold",
  options: apiCommandOptions,
  examples: [
    ['$0 api --model ./llama --bootstrap ADDR', 'the API at http://127.0.0.1:8000/v1'],
    ['$0 api --model ./llama --model Qwen/Qwen3-8B --bootstrap ADDR --port 0', 'two models, on any free port'],
    [
      '$0 api --bootstrap ADDR --host 0.0.0.0 --api-key-file keys.yaml --allowed-hosts llm.example.com',
      'for others, who bring keys',
    ],
  ],
  run: async (values, context) => (await import('./run.ts')).runApi(values, context),
})
