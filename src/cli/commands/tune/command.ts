import { defineCommand } from '../command.ts'
import { tuneOptions } from './options.ts'

export const tuneCommand = defineCommand({
  name: 'tune',
  summary: 'Train an adapter, prompts or a classifier through a swarm, whose weights stay as they are',
  options: tuneOptions,
  examples: [
    [
      '$0 tune --model ./llama --bootstrap ADDR --data chats.jsonl --out ./tuned',
      'a LoRA adapter; the same command goes on where it was broken off',
    ],
    [
      '$0 tune --bootstrap ADDR --data book.txt --eval-data rest.txt --method ptune --out ./tuned',
      'prompts, the best of which are kept',
    ],
    [
      '$0 tune --bootstrap ADDR --data reviews.jsonl --method classifier --out ./tuned',
      '{"text", "label"} on each line',
    ],
  ],
  run: async (values, context) => (await import('./run.ts')).runTune(values, context),
})
