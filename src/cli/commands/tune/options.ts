import type { OptionValues } from '../../options/option-table.ts'
import { chatOptions } from '../chat/options.ts'
import { toolLogOptions } from '../../options/tables/running-options.ts'
import { clientOptions } from '../../options/tables/client-options.ts'
import { modelOptions } from '../../options/tables/model-options.ts'

const DATA = 'Data'
const METHOD = 'Method'
const TRAINING = 'Training'

export const tuneOptions = {
  ...modelOptions,
  data: {
    type: 'text',
    group: DATA,
    isFile: true,
    description: 'What to learn: a .txt file, or a .jsonl file with a record on each line',
  },
  evalData: {
    type: 'text',
    group: DATA,
    isFile: true,
    description: 'What the result is judged by: the best is kept, not the last',
  },
  window: {
    type: 'integer',
    group: DATA,
    min: 1,
    default: 256,
    description: 'The most tokens of a sequence; longer texts are cut into several',
    reason: 'The time of a step grows with it',
  },
  template: { ...chatOptions.template, group: DATA },
  out: {
    type: 'text',
    group: DATA,
    isFile: true,
    description: 'Folder for what was trained, the loss curve, and what the same command goes on from',
  },
  method: {
    type: 'text',
    group: METHOD,
    choices: ['lora', 'ptune', 'deep_ptune', 'head', 'classifier'],
    default: 'lora',
    description:
      'What is trained: an adapter of the blocks, prompts before the text, these and prompts in each block, ' +
      'the head that predicts tokens, or only the head of a classifier',
    reason: 'It learns most in the fewest steps; its servers must allow it (serve --allow-client-adapters)',
  },
  rank: { type: 'integer', group: METHOD, min: 1, default: 8, description: 'Of lora: the rank of its matrices' },
  alpha: {
    type: 'number',
    group: METHOD,
    above: 0,
    default: 16,
    description: 'Of lora: its changes are multiplied by alpha / rank',
  },
  targetModules: {
    type: 'list',
    group: METHOD,
    default: [],
    defaultDescription: "all of the blocks' linear layers",
    description: 'Of lora: a layer to change, like q_proj; may be repeated',
  },
  preSeqLen: {
    type: 'integer',
    group: METHOD,
    min: 1,
    default: 16,
    description: 'Of ptune and deep_ptune: positions that the prompts take',
  },
  steps: { type: 'integer', group: TRAINING, min: 1, default: 200, description: 'How many steps to make, in all' },
  batchSize: {
    type: 'integer',
    group: TRAINING,
    min: 1,
    default: 8,
    description: 'Sequences that are computed at once',
  },
  accumulate: { type: 'integer', group: TRAINING, min: 1, default: 1, description: 'Batches that make one step' },
  learningRate: {
    type: 'number',
    group: TRAINING,
    above: 0,
    defaultDescription: '0.05 for prompts, else 0.001',
    description: 'How far a step goes',
  },
  schedule: {
    type: 'text',
    group: TRAINING,
    choices: ['constant', 'linear', 'cosine'],
    default: 'constant',
    description: 'How the learning rate falls towards the end',
  },
  warmupSteps: {
    type: 'integer',
    group: TRAINING,
    min: 0,
    defaultDescription: 'a tenth of the steps, at most 10',
    description: 'Steps in which the learning rate rises to its full size',
    reason: "AdamW's first steps would go too far",
  },
  weightDecay: { type: 'number', group: TRAINING, min: 0, default: 0, description: 'Of AdamW' },
  clipNorm: {
    type: 'number',
    group: TRAINING,
    above: 0,
    default: 1,
    description: 'The largest norm that the gradient of a step keeps',
    reason: 'One strange text does no harm then',
  },
  evalEvery: {
    type: 'integer',
    group: TRAINING,
    min: 1,
    default: 50,
    description: 'Steps between two looks at --eval-data',
  },
  seed: {
    type: 'integer',
    group: TRAINING,
    min: 0,
    defaultDescription: 'a random one, which is told',
    description: 'Where all that is drawn comes from: the same seed gives the same curve',
  },
  json: { type: 'flag', group: 'Output', description: 'Print what was trained as one JSON object on stdout' },
  ...clientOptions,
  ...toolLogOptions,
} as const

export type TuneValues = OptionValues<typeof tuneOptions>
