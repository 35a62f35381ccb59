import type { OptionValues } from '../../options/option-table.ts'
import { toolLogOptions } from '../../options/tables/running-options.ts'
import { answerOptions } from '../../options/tables/answer-options.ts'
import { clientOptions } from '../../options/tables/client-options.ts'
import { adapterOptions, modelOptions } from '../../options/tables/model-options.ts'

const GROUP = 'Chat'

export const chatOptions = {
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
    reason: 'Servers reserve it for this chat alone; moving means that they copy what they hold of the conversation',
  },
  onFull: {
    type: 'text',
    group: GROUP,
    default: 'stop',
    choices: ['stop', 'shift'],
    description: 'Once the model takes no more tokens: stop there, or leave out the oldest turns',
    reason: 'A model that is not told how a conversation began may contradict it',
  },
  json: { type: 'flag', group: GROUP, description: 'Print each answer as one line of JSON on stdout' },
  ...answerOptions,
  maxNewTokens: { ...answerOptions.maxNewTokens, defaultDescription: "the model's own, or 512" },
  ...clientOptions,
  ...toolLogOptions,
} as const

export type ChatValues = OptionValues<typeof chatOptions>
