import type { OptionValues } from '../../options/option-table.ts'
import { TEXT } from '../../options/tables/groups.ts'
import { toolLogOptions } from '../../options/tables/running-options.ts'
import { generationOptions } from '../../options/tables/answer-options.ts'
import { clientOptions } from '../../options/tables/client-options.ts'
import { adapterOptions, modelOptions } from '../../options/tables/model-options.ts'

const PROMPTS = ['prompt', 'promptIds', 'promptFile', 'batch']

/** The other ways to say what is continued. */
const otherThan = (name: string): readonly string[] => PROMPTS.filter((other) => other !== name)

export const generateOptions = {
  ...modelOptions,
  ...adapterOptions,
  prompt: {
    type: 'text',
    short: 'p',
    group: TEXT,
    rivals: otherThan('prompt'),
    description: 'Text to continue; - for what comes on stdin',
  },
  promptIds: {
    type: 'text',
    group: TEXT,
    rivals: otherThan('promptIds'),
    description: 'Token ids to continue, like 5,17,3, instead of a text',
  },
  promptFile: {
    type: 'text',
    group: TEXT,
    isFile: true,
    rivals: otherThan('promptFile'),
    description: 'File whose text is continued, without the line end that it ends with',
  },
  batch: {
    type: 'text',
    group: TEXT,
    isFile: true,
    rivals: otherThan('batch'),
    description:
      'File of prompts, or - for stdin: a JSON text, ids or {"prompt", "id"} on each line; gives a JSON line for each',
  },
  ...generationOptions,
  jsonSchema: {
    type: 'text',
    group: TEXT,
    isFile: true,
    description: 'File of a JSON schema that the text fulfils, at every token; what cannot be enforced is refused',
  },
  json: {
    type: 'flag',
    group: 'Output',
    description: 'Print one JSON object with all texts, token ids and times instead',
  },
  ...clientOptions,
  ...toolLogOptions,
} as const

export type GenerateValues = OptionValues<typeof generateOptions>
