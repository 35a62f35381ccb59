import { inspect } from 'node:util'
import { UsageError } from '../../base/errors.ts'

/** How the next token is drawn from the logits. */
export interface SamplingOptions {
  /** Above 1 flattens the distribution, below 1 sharpens it; 0, the default, is greedy: the likeliest token. */
  readonly temperature?: number | undefined
  /** Only the k likeliest tokens; 0, the default, is all of them. */
  readonly topK?: number | undefined
  /** Only the fewest tokens that together have this probability; 1, the default, is all of them. */
  readonly topP?: number | undefined
  /** Makes the draws repeatable; otherwise they differ each time. */
  readonly seed?: number | undefined
  /** Tell each token's log-probability, which takes longer than choosing it. */
  readonly logprobs?: boolean | undefined
}

export interface GenerationOptions extends SamplingOptions {
  /** The text is at most so many tokens longer than the prompt. */
  readonly maxNewTokens: number
  /** Any of these tokens ends the text, [] is never. A model's default is its checkpoint's. */
  readonly eosTokenIds?: readonly number[] | undefined
  /** The text ends before the first of these. */
  readonly stopStrings?: readonly string[] | undefined
  /** Ends the text after the step that is under way. */
  readonly signal?: AbortSignal | undefined
}

interface Rule {
  readonly accepts: (value: unknown) => boolean
  readonly accepted: string
}

const RULES: { readonly [K in keyof Required<GenerationOptions>]: Rule } = {
  maxNewTokens: { accepts: (value) => isIntegerFrom(1, value), accepted: 'a whole number of at least 1' },
  temperature: {
    accepts: (value) => typeof value === 'number' && Number.isFinite(value) && value >= 0,
    accepted: 'a finite number of at least 0 (0 is greedy)',
  },
  topK: { accepts: (value) => isIntegerFrom(0, value), accepted: 'a whole number of at least 0 (0 is all tokens)' },
  topP: {
    accepts: (value) => typeof value === 'number' && value > 0 && value <= 1,
    accepted: 'a number above 0 and at most 1 (1 is all tokens)',
  },
  seed: {
    accepts: (value) => Number.isSafeInteger(value),
    accepted: `a whole number from ${Number.MIN_SAFE_INTEGER} to ${Number.MAX_SAFE_INTEGER}`,
  },
  logprobs: { accepts: (value) => typeof value === 'boolean', accepted: 'true or false' },
  eosTokenIds: {
    accepts: (value) => Array.isArray(value) && value.every((id) => isIntegerFrom(0, id)),
    accepted: 'a list of token ids, whole numbers of at least 0 ([] is never)',
  },
  stopStrings: {
    accepts: (value) => Array.isArray(value) && value.every((stop) => typeof stop === 'string' && stop !== ''),
    accepted: 'a list of strings that are not empty',
  },
  signal: { accepts: (value) => value instanceof AbortSignal, accepted: 'an AbortSignal' },
}

/** Throws `USAGE`, naming the option, its value and what is accepted; an option that is undefined has its default. */
export function checkOptions(options: GenerationOptions): void {
  for (const [name, value] of Object.entries({ ...options, maxNewTokens: options.maxNewTokens })) {
    if (!isOption(name)) {
      throw new UsageError(`${name} is no option of generation; there are ${Object.keys(RULES).join(', ')}`)
    }
    if (value === undefined && name !== 'maxNewTokens') continue
    const { accepts, accepted } = RULES[name]
    if (!accepts(value)) throw new UsageError(`${name} is ${shown(value)}: give ${accepted}`)
  }
}

function isOption(name: string): name is keyof GenerationOptions {
  return Object.hasOwn(RULES, name)
}

function isIntegerFrom(least: number, value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= least
}

function shown(value: unknown): string {
  return inspect(value, { depth: 1, maxArrayLength: 8, maxStringLength: 80, breakLength: Infinity })
}
