import type { Fields } from './fields.ts'

/**
 * The options that generation_config.json can set; each absent where the file leaves it out or has null. Plain data.
 */
export interface GenerationFileOptions {
  readonly doSample?: boolean
  /** Above 0. */
  readonly temperature?: number
  readonly topK?: number
  readonly topP?: number
  readonly minP?: number
  readonly typicalP?: number
  readonly repetitionPenalty?: number
  readonly noRepeatNgramSize?: number
  readonly sequenceBias?: readonly (readonly [ids: readonly number[], bias: number])[]
  readonly badWordsIds?: readonly (readonly number[])[]
  readonly suppressTokens?: readonly number[]
  readonly beginSuppressTokens?: readonly number[]
  readonly forcedBosTokenId?: number
  readonly forcedEosTokenId?: readonly number[]
  readonly minLength?: number
  readonly minNewTokens?: number
  readonly maxNewTokens?: number
  readonly maxLength?: number
  readonly maxTimeMs?: number
  readonly stopStrings?: readonly string[]
  readonly numBeams?: number
  readonly lengthPenalty?: number
  readonly earlyStopping?: boolean | 'never'
  readonly numReturnSequences?: number
}

type Reader<T> = (fields: Fields, name: string) => T

const READERS: {
  readonly [K in keyof GenerationFileOptions]-?: readonly [
    name: string,
    read: Reader<Required<GenerationFileOptions>[K]>,
  ]
} = {
  doSample: ['do_sample', (fields, name) => fields.flag(name)],
  temperature: ['temperature', number((value) => value >= 0, 'must be a number of at least 0')],
  topK: ['top_k', integer(0)],
  topP: ['top_p', number((value) => value >= 0 && value <= 1, 'must be a number from 0 to 1')],
  minP: ['min_p', number((value) => value >= 0 && value <= 1, 'must be a number from 0 to 1')],
  typicalP: ['typical_p', number((value) => value > 0 && value <= 1, 'must be a number above 0 and at most 1')],
  repetitionPenalty: ['repetition_penalty', number((value) => value > 0, 'must be a number above 0')],
  noRepeatNgramSize: ['no_repeat_ngram_size', integer(0)],
  sequenceBias: ['sequence_bias', checked(isSequenceBias, 'must be a list of [token ids, number]')],
  badWordsIds: [
    'bad_words_ids',
    checked(
      (value) => Array.isArray(value) && value.every(isSequence),
      'must be a list of lists of token ids, none of them empty',
    ),
  ],
  suppressTokens: ['suppress_tokens', tokenIds],
  beginSuppressTokens: ['begin_suppress_tokens', tokenIds],
  forcedBosTokenId: [
    'forced_bos_token_id',
    checked((value) => isTokenId(value), 'must be a token id, a whole number from 0'),
  ],
  forcedEosTokenId: ['forced_eos_token_id', tokenIds],
  minLength: ['min_length', integer(0)],
  minNewTokens: ['min_new_tokens', integer(0)],
  maxNewTokens: ['max_new_tokens', integer(1)],
  maxLength: ['max_length', integer(1)],
  maxTimeMs: ['max_time', (fields, name) => 1000 * fields.positive(name)],
  stopStrings: [
    'stop_strings',
    (fields, name) => {
      const stops: unknown[] = [fields.get(name)].flat()
      return stops.every(isText) ? stops : fields.fail(name, 'must be a text or a list of texts, none of them empty')
    },
  ],
  numBeams: ['num_beams', integer(1)],
  lengthPenalty: ['length_penalty', number(() => true, 'must be a number')],
  earlyStopping: [
    'early_stopping',
    checked((value) => typeof value === 'boolean' || value === 'never', 'must be true, false or "never"'),
  ],
  numReturnSequences: ['num_return_sequences', integer(1)],
}

/**
 * Reads the options of a generation_config.json under the names that they have here; keys that none of them has are
 * ignored. A temperature of 0 is read as `doSample: false`. Throws `CHECKPOINT_CONFIG`, naming the key and its value.
 */
export function parseGenerationOptions(fields: Fields): GenerationFileOptions {
  const options: Record<string, unknown> = {}
  for (const [option, [name, read]] of Object.entries(READERS)) {
    if (fields.get(name) !== undefined) options[option] = read(fields, name)
  }
  if (options['temperature'] === 0) {
    delete options['temperature']
    options['doSample'] = false
  }
  return options
}

/** A value that `holds` as it stands. */
function checked<T>(holds: (value: unknown) => boolean, problem: string): Reader<T> {
  return (fields, name) => {
    const value = fields.get(name)
    return holds(value) ? (value as T) : fields.fail(name, problem)
  }
}

function number(holds: (value: number) => boolean, problem: string): Reader<number> {
  return checked((value) => typeof value === 'number' && Number.isFinite(value) && holds(value), problem)
}

function integer(least: number): Reader<number> {
  return checked(
    (value) => Number.isSafeInteger(value) && (value as number) >= least,
    `must be a whole number of at least ${least}`,
  )
}

function tokenIds(fields: Fields, name: string): number[] {
  return fields.tokenIds(name)
}

function isTokenId(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

function isSequence(value: unknown): boolean {
  return Array.isArray(value) && value.length > 0 && value.every(isTokenId)
}

function isSequenceBias(value: unknown): boolean {
  return (
    Array.isArray(value) &&
    value.every(
      (pair: unknown) => Array.isArray(pair) && pair.length === 2 && isSequence(pair[0]) && Number.isFinite(pair[1]),
    )
  )
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== ''
}
