import { defineCommand } from '../command.ts'
import type { OptionValues } from '../options/option-table.ts'
import {
  adapterOptions,
  answerOptions,
  modelOptions,
  swarmOptions,
  threadOptions,
  toolLogOptions,
} from '../options/options.ts'

const GROUP = 'Chat'

const options = {
  ...modelOptions,
  ...adapterOptions,
  system: { type: 'text', group: GROUP, description: 'What the model is told before everything else' },
  template: {
    type: 'text',
    group: GROUP,
    isFile: true,
    default: 'model',
    description: 'How messages become a text: model (its own template), chatml, plain (a transcript), or a jinja file',
    reason: 'A model answers best in the form that it was trained with',
  },
  sessionTokens: {
    type: 'integer',
    group: GROUP,
    min: 1,
    default: 2048,
    description: 'Tokens of cache to reserve on the servers at first; a longer conversation moves to a larger session',
    reason: 'Servers reserve it for this chat alone; moving means that the conversation is computed once more',
  },
  json: { type: 'flag', group: GROUP, description: 'Print each answer as one line of JSON on stdout' },
  ...answerOptions,
  maxNewTokens: { ...answerOptions.maxNewTokens, defaultDescription: "the model's own, or 512" },
  ...swarmOptions,
  ...threadOptions,
  ...toolLogOptions,
} as const

export type ChatValues = OptionValues<typeof options>

export const chatCommand = defineCommand({
  name: 'chat',
  summary: 'Talk with a model that a swarm holds; /help lists what can be done meanwhile',
  options,
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
