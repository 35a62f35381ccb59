import { API } from './groups.ts'
import type { OptionTable } from '../option-table.ts'

/** Where the HTTP API listens, where it is what a command is for. */
export const listenOptions = {
  port: {
    type: 'integer',
    group: API,
    min: 0,
    max: 65_535,
    default: 8000,
    description: 'Port of the API; 0 for any free one',
    reason: 'As vLLM has it',
  },
  host: {
    type: 'text',
    group: API,
    default: '127.0.0.1',
    description: 'Address to bind --port to; 0.0.0.0 for all',
    reason: 'Whoever reaches it can use it, unless keys are asked for',
  },
} as const satisfies OptionTable

/** Where the HTTP API listens, where it is one thing among others. */
export const apiPortOptions = {
  apiPort: {
    type: 'integer',
    group: API,
    min: 0,
    max: 65_535,
    defaultDescription: 'off',
    description: 'Port for the API, which answers through this span and those of others; 0 for any free one',
  },
  apiHost: {
    type: 'text',
    group: API,
    default: '127.0.0.1',
    description: 'Address to bind --api-port to; 0.0.0.0 for all',
    reason: 'Whoever reaches it can use it, unless keys are asked for',
  },
} as const satisfies OptionTable

/** Whom the API answers, and how much at once. */
export const apiOptions = {
  apiKey: {
    type: 'list',
    group: API,
    default: [],
    defaultDescription: 'none: everybody may ask',
    description: 'Key that requests must bring; may be repeated',
    reason: 'Other users of this machine see flags: a variable or --api-key-file is safer',
  },
  apiKeyFile: {
    type: 'text',
    group: API,
    isFile: true,
    description: 'YAML file of keys: a list of name, key and, if they are bounded, tokensPerDay',
  },
  allowedHosts: {
    type: 'list',
    group: API,
    default: [],
    defaultDescription: 'localhost and addresses',
    description: 'Host name that requests may be for; may be repeated',
    reason: 'A page of another site can give its own name the address of this machine',
  },
  corsOrigins: {
    type: 'list',
    group: API,
    default: [],
    defaultDescription: 'none',
    description: 'Origin whose pages may use the API, like https://example.com, or *; may be repeated',
  },
  parallelTexts: {
    type: 'integer',
    group: API,
    min: 1,
    default: 64,
    description: 'Texts that are generated at the same time; others wait',
    reason: 'More make each of them slower, and servers let one peer have 128 sessions',
  },
  maxWaiting: {
    type: 'integer',
    group: API,
    min: 0,
    default: 256,
    description: 'Requests that may wait for their turn; others are refused with status 429',
  },
  promptCacheTokens: {
    type: 'integer',
    group: API,
    min: 0,
    default: 65_536,
    description:
      'Tokens of earlier prompts and answers that servers are asked to keep, for those that begin so; 0: none',
    reason: 'Servers give the room to whoever needs it, at once',
  },
  template: {
    type: 'text',
    group: API,
    isFile: true,
    default: 'model',
    description: 'How messages become a text: model (its own template), chatml, plain (a transcript), or a jinja file',
    reason: 'A model answers best in the form that it was trained with',
  },
} as const satisfies OptionTable
