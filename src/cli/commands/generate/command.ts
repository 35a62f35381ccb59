import { defineCommand } from '../command.ts'
import { generateOptions } from './options.ts'

export const generateCommand = defineCommand({
  name: 'generate',
  summary: 'Continue a text with a model that a swarm holds; only the new text goes to stdout',
  options: generateOptions,
  argument: 'prompt',
  examples: [
    ['$0 generate -m ./llama --bootstrap ADDR -p "Once upon a time" -n 100', 'the likeliest continuation'],
    ['$0 generate --bootstrap ADDR - < story.txt', 'of what comes on stdin; or --prompt-file story.txt'],
    [
      '$0 generate --bootstrap ADDR --prompt "We the people" --temperature 0.8 --top-p 0.9 --seed 1',
      'a random one, repeatable',
    ],
    ['$0 generate --bootstrap ADDR --prompt "We the people" --num-beams 4', 'the likeliest of four beams'],
    ['$0 generate --bootstrap ADDR --prompt "A whale: " --json-schema whale.json', 'JSON that fulfils a schema'],
    [
      '$0 generate --bootstrap ADDR --batch prompts.jsonl > texts.jsonl',
      'a line for each line; those that fail have an error in place of results',
    ],
    [
      '$0 generate --bootstrap ADDR --prompt-ids 0,39,70 --stop "." > text.txt',
      'from token ids, up to the first full stop',
    ],
  ],
  run: async (values, context, argument) => (await import('./run.ts')).runGenerate(values, context, argument),
})
