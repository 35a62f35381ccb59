import { inspect } from 'node:util'
import { UsageError } from '../../../base/errors.ts'
import type { GenerationOptions } from './options.ts'

interface Rule {
  readonly accepts: (value: unknown) => boolean
  readonly accepted: string
}

const SIGNAL: Rule = { accepts: (value) => value instanceof AbortSignal, accepted: 'an AbortSignal' }
const FLAG: Rule = { accepts: (value) => typeof value === 'boolean', accepted: 'true or false' }
const ID: Rule = { accepts: isId, accepted: 'a token id, a whole number of at least 0' }
const IDS: Rule = { accepts: isIds, accepted: 'a list of token ids, whole numbers of at least 0' }
const FUNCTIONS: Rule = {
  accepts: (value) => Array.isArray(value) && value.every((each) => typeof each === 'function'),
  accepted: 'a list of functions',
}

const RULES: { readonly [K in keyof Required<GenerationOptions>]: Rule } = {
  doSample: FLAG,
  temperature: numberRule((value) => value >= 0, 'of at least 0 (0 is greedy)'),
  topK: integerFrom(0, ' (0 is all tokens)'),
  topP: numberRule((value) => value >= 0 && value <= 1, 'from 0 to 1 (1 is all tokens)'),
  minP: numberRule((value) => value >= 0 && value <= 1, 'from 0 to 1 (0 is all tokens)'),
  typicalP: numberRule((value) => value > 0 && value <= 1, 'above 0 and at most 1 (1 is all tokens)'),
  seed: {
    accepts: Number.isSafeInteger,
    accepted: `a whole number from ${Number.MIN_SAFE_INTEGER} to ${Number.MAX_SAFE_INTEGER}`,
  },
  logprobs: FLAG,
  repetitionPenalty: numberRule((value) => value > 0, 'above 0 (1 is none)'),
  presencePenalty: numberRule(() => true, '(0 is none)'),
  frequencyPenalty: numberRule(() => true, '(0 is none)'),
  noRepeatNgramSize: integerFrom(0, ' (0 is no limit)'),
  logitBias: {
    accepts: (value) =>
      isRecord(value) && Object.entries(value).every(([id, bias]) => isId(Number(id)) && isBias(bias)),
    accepted: 'an object of token ids and what to add to their logits, finite or -Infinity',
  },
  sequenceBias: {
    accepts: (value) =>
      Array.isArray(value) &&
      value.every(
        (pair) => Array.isArray(pair) && pair.length === 2 && isIds(pair[0]) && pair[0].length > 0 && isBias(pair[1]),
      ),
    accepted: 'a list of [ids, bias], the bias finite or -Infinity',
  },
  badWordsIds: {
    accepts: (value) => Array.isArray(value) && value.every((word) => isIds(word) && word.length > 0),
    accepted: 'a list of lists of token ids, none of them empty',
  },
  suppressTokens: IDS,
  beginSuppressTokens: IDS,
  forcedPrefixIds: IDS,
  forcedBosTokenId: ID,
  forcedEosTokenId: {
    accepts: (value) => isId(value) || (isIds(value) && value.length > 0),
    accepted: 'a token id or a list of them, whole numbers of at least 0',
  },
  minLength: integerFrom(0),
  minNewTokens: integerFrom(0),
  maxNewTokens: integerFrom(1),
  maxLength: integerFrom(1),
  maxTimeMs: numberRule((value) => value > 0, 'of milliseconds, above 0'),
  eosTokenIds: { ...IDS, accepted: `${IDS.accepted} ([] is never)` },
  stopStrings: {
    accepts: (value) => Array.isArray(value) && value.every((stop) => typeof stop === 'string' && stop !== ''),
    accepted: 'a list of strings that are not empty',
  },
  stoppingCriteria: FUNCTIONS,
  logitsProcessors: FUNCTIONS,
  signal: SIGNAL,
  numBeams: integerFrom(1),
  lengthPenalty: numberRule(() => true),
  earlyStopping: {
    accepts: (value) => typeof value === 'boolean' || value === 'never',
    accepted: "a choice of true, false and 'never'",
  },
  numReturnSequences: integerFrom(1),
}

export const OPTION_NAMES: readonly string[] = Object.keys(RULES)

/** Throws `USAGE`, naming the option, its value and what is accepted; an option that is undefined has its default. */
export function checkOptions(options: GenerationOptions): void {
  for (const [name, value] of Object.entries(options)) {
    if (!isOption(name)) {
      throw new UsageError(`${name} is no option of generation; there are ${OPTION_NAMES.join(', ')}`)
    }
    if (value === undefined) continue
    const { accepts, accepted } = RULES[name]
    if (!accepts(value)) throw new UsageError(`${name} is ${shown(value)}: give ${accepted}`)
  }
  if (options.doSample === true && options.temperature === 0) {
    throw new UsageError('doSample is true and temperature 0, which is greedy: give one of them')
  }
}

function isOption(name: string): name is keyof GenerationOptions {
  return Object.hasOwn(RULES, name)
}

function numberRule(holds: (value: number) => boolean, range = ''): Rule {
  const accepts = (value: unknown): boolean => typeof value === 'number' && Number.isFinite(value) && holds(value)
  return { accepts, accepted: `a finite number ${range}`.trimEnd() }
}

function integerFrom(least: number, note = ''): Rule {
  const accepts = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= least
  return { accepts, accepted: `a whole number of at least ${least}${note}` }
}

function isId(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

function isIds(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every(isId)
}

function isBias(value: unknown): boolean {
  return typeof value === 'number' && value < Infinity
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function shown(value: unknown): string {
  return inspect(value, { depth: 1, maxArrayLength: 8, maxStringLength: 80, breakLength: Infinity })
}
