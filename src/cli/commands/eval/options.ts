import type { OptionValues } from '../../options/option-table.ts'
import { chatOptions } from '../chat/options.ts'
import { toolLogOptions } from '../../options/tables/running-options.ts'
import { clientOptions } from '../../options/tables/client-options.ts'
import { adapterOptions, modelOptions } from '../../options/tables/model-options.ts'

const GROUP = 'Evaluation'

export const evalOptions = {
  ...modelOptions,
  ...adapterOptions,
  classifier: {
    type: 'text',
    group: 'Model',
    isFile: true,
    description: 'Folder of a classifier\'s head ("petals-node tune" with labels), whose accuracy is measured',
  },
  data: {
    type: 'text',
    group: GROUP,
    isFile: true,
    description: 'What to measure on: a .txt file, or a .jsonl file with a record on each line',
  },
  metric: {
    type: 'text',
    group: GROUP,
    choices: ['perplexity', 'choices', 'accuracy'],
    defaultDescription: 'the one that the data are for',
    description: 'What to measure: of texts, of questions with choices, of texts with labels',
  },
  window: {
    type: 'integer',
    group: GROUP,
    min: 2,
    defaultDescription: '1024, or what the model takes',
    description: 'The most tokens of a text that are seen at once',
  },
  stride: {
    type: 'integer',
    group: GROUP,
    min: 1,
    defaultDescription: 'half the window',
    description: 'How far the windows of a long text lie apart',
    reason: 'Less lets tokens have more before them, and takes more time',
  },
  template: { ...chatOptions.template, group: GROUP },
  out: {
    type: 'text',
    group: GROUP,
    isFile: true,
    defaultDescription: 'none',
    description: 'File for the result as JSON; with it the same command goes on where it was broken off',
  },
  json: { type: 'flag', group: 'Output', description: 'Print the result as one JSON object on stdout' },
  ...clientOptions,
  ...toolLogOptions,
} as const

export type EvalValues = OptionValues<typeof evalOptions>
