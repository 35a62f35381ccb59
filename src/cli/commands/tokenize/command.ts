import { defineCommand } from '../command.ts'
import { tokenizeOptions } from './options.ts'

export const tokenizeCommand = defineCommand({
  name: 'tokenize',
  summary: 'Show the token ids of a text, the text of token ids, or the prompt that a conversation makes',
  options: tokenizeOptions,
  argument: 'text',
  examples: [
    ['$0 tokenize --model ./llama "Once upon a time"', 'ids as a JSON array; without a text, of what comes on stdin'],
    ['$0 tokenize --model ./llama --decode "[5,17,3]"', 'the text of ids'],
    ['$0 tokenize --model ./llama --chat < messages.json', "by the model's template, as a text; with --ids as ids"],
  ],
  run: async (values, context, argument) => (await import('./run.ts')).runTokenize(values, context, argument),
})
