import { defineCommand } from '../command.ts'
import { chatOptions } from './options.ts'

export const chatCommand = defineCommand({
  name: 'chat',
  summary: 'Talk with a model that a swarm holds; /help lists what can be done meanwhile',
  options: chatOptions,
  examples: [
    ['$0 chat --model ./llama-instruct --bootstrap ADDR', 'Ctrl-C stops an answer, twice ends'],
    [
      '$0 chat --bootstrap ADDR --template plain --system "You are terse."',
      'with a model that was not trained to chat',
    ],
    ['$0 chat --bootstrap ADDR --json < questions.txt', 'one turn for each line, for a script'],
  ],
  run: async (values, context) => (await import('./run.ts')).runChat(values, context),
})
