import type { OptionValues } from '../../options/option-table.ts'
import { chatOptions } from '../chat/options.ts'
import { configOptions } from '../../options/tables/running-options.ts'
import { modelOptions } from '../../options/tables/model-options.ts'

const GROUP = 'Text'

export const tokenizeOptions = {
  model: modelOptions.model,
  maxDiskSpace: modelOptions.maxDiskSpace,
  decode: {
    type: 'flag',
    group: GROUP,
    rivals: ['chat'],
    description: 'Take token ids, as a JSON array or with commas between, and print their text',
  },
  chat: {
    type: 'flag',
    group: GROUP,
    rivals: ['decode'],
    description: 'Take a JSON array of messages, {"role", "content"}, and print the prompt that they make',
  },
  ids: { type: 'flag', group: GROUP, description: 'With --chat: print the ids of the prompt' },
  template: chatOptions.template,
  ...configOptions,
} as const

export type TokenizeValues = OptionValues<typeof tokenizeOptions>
