import { defineCommand } from '../command.ts'
import { evalOptions } from './options.ts'

export const evalCommand = defineCommand({
  name: 'eval',
  summary: 'Measure a model on data: perplexity of texts, multiple choice, accuracy of a classifier',
  options: evalOptions,
  examples: [
    ['$0 eval --model ./llama --bootstrap ADDR --data heldout.txt', 'perplexity in sliding windows'],
    [
      '$0 eval --bootstrap ADDR --data heldout.txt --own-adapter ./tuned --out tuned.json',
      'with an adapter; the same command goes on where it was broken off',
    ],
    ['$0 eval --bootstrap ADDR --data questions.jsonl --json', '{"context", "choices", "answer"} on each line'],
    ['$0 eval --bootstrap ADDR --data reviews.jsonl --classifier ./tuned', '{"text", "label"} on each line'],
  ],
  run: async (values, context) => (await import('./run.ts')).runEval(values, context),
})
