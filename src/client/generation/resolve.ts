import { UsageError } from '../../base/errors.ts'
import type { Checkpoint } from '../../checkpoint/checkpoint.ts'
import type { GenerationDefaults } from '../../checkpoint/config/generation.ts'
import { CheckpointError } from '../../checkpoint/files/errors.ts'
import { checkOptions } from '../../sampling/options/check.ts'
import { type GenerationOptions, type ResolvedOptions, isSampling } from '../../sampling/options/options.ts'
import { drawSeed } from '../../sampling/random.ts'

/** transformers' default length of an answer, if neither the caller nor the model gives one. */
const NEW_TOKENS = 20
const TOP_K = 50

/** Pairs of options that set the same limit. If the caller gives one, the model's default for the other is ignored. */
const SAME_LIMIT = [
  ['maxNewTokens', 'maxLength'],
  ['minNewTokens', 'minLength'],
] as const

/**
 * The options of a prompt of `promptLength` tokens with defaults filled in: from the model's generation_config.json,
 * then transformers' (20 new tokens; top-k 50 if tokens are drawn), and with a seed. If `doSample` is not given, the
 * caller's temperature decides: above 0 tokens are drawn, at 0 not. If neither is given, the model's `do_sample`
 * decides, and the model's temperature counts only if tokens are drawn. Throws `USAGE` for options that are invalid by
 * themselves, together, with this prompt or with this vocabulary, and `CHECKPOINT_CONFIG` for a value of the model's
 * own that cannot be used.
 */
export function resolveOptions(
  options: GenerationOptions,
  { generation, config }: Pick<Checkpoint, 'generation' | 'config'>,
  promptLength: number,
): ResolvedOptions {
  checkOptions(options)
  const explicit = definedOnly(options)
  const merged: GenerationOptions = {
    topK: TOP_K,
    eosTokenIds: generation.eosTokenIds,
    ...modelOptions(generation, explicit),
    ...explicit,
  }
  const {
    doSample = explicit.temperature === undefined ? (generation.options.doSample ?? false) : explicit.temperature > 0,
  } = explicit
  refuseProblems(generation, explicit, { doSample, numBeams: merged.numBeams })
  checkVocabulary(merged, config.vocabSize)
  const draws = isSampling({ ...merged, doSample })
  return {
    ...merged,
    ...(draws && merged.seed === undefined && { seed: drawSeed() }),
    doSample,
    maxNewTokens: answerLength(explicit, generation, promptLength),
    numReturnSequences: numTexts(explicit, merged, doSample),
  }
}

/**
 * The options of one text that is shown while it is generated: the model's defaults for beams are ignored. Throws
 * `USAGE` as `resolveOptions`, and if the caller asks for several beams or texts.
 */
export function resolveStreamOptions(
  options: GenerationOptions,
  checkpoint: Pick<Checkpoint, 'generation' | 'config'>,
  promptLength: number,
): ResolvedOptions {
  for (const name of ['numBeams', 'numReturnSequences'] as const) {
    if ((options[name] ?? 1) > 1) {
      throw new UsageError(
        `${name} is ${options[name]}: a stream is one text as it comes; give the prompts to generate, in a list`,
      )
    }
  }
  return resolveOptions({ ...options, numBeams: 1, numReturnSequences: 1 }, checkpoint, promptLength)
}

function definedOnly(options: GenerationOptions): GenerationOptions {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))
}

function modelOptions({ options }: GenerationDefaults, explicit: GenerationOptions): GenerationOptions {
  const own: GenerationOptions = { ...options }
  const overridden = SAME_LIMIT.filter((pair) => pair.some((name) => explicit[name] !== undefined)).flat()
  return Object.fromEntries(Object.entries(own).filter(([name]) => !overridden.some((other) => other === name)))
}

/** Options that matter only where tokens are drawn, or where there are several beams. */
const OF_DRAWS: readonly string[] = ['temperature', 'topK', 'topP', 'minP', 'typicalP']
const OF_BEAMS: readonly string[] = ['lengthPenalty', 'earlyStopping']

/** Throws `CHECKPOINT_CONFIG` for a value of the model's own that cannot be used and that nothing replaces. */
function refuseProblems(
  { problems = [] }: GenerationDefaults,
  explicit: GenerationOptions,
  { doSample, numBeams = 1 }: Pick<GenerationOptions, 'doSample' | 'numBeams'>,
): void {
  const found = problems.find(({ option }) => {
    if (explicit[option] !== undefined) return false
    if (option === 'doSample' && explicit.temperature !== undefined) return false
    if (SAME_LIMIT.some((pair) => isOneOf(option, pair) && pair.some((name) => explicit[name] !== undefined)))
      return false
    return isOneOf(option, OF_DRAWS) ? doSample === true : !isOneOf(option, OF_BEAMS) || numBeams > 1
  })
  if (found === undefined) return
  throw new CheckpointError('CHECKPOINT_CONFIG', `${found.message}: give ${found.option}, or repair the file`)
}

function isOneOf(option: string, options: readonly string[]): boolean {
  return options.includes(option)
}

function answerLength(
  explicit: GenerationOptions,
  { options, maxPositions }: GenerationDefaults,
  promptLength: number,
): number {
  if (explicit.maxNewTokens !== undefined) return explicit.maxNewTokens
  if (explicit.maxLength !== undefined) return beyondPrompt(explicit.maxLength, promptLength, 'maxLength is')
  if (options.maxNewTokens === undefined && options.maxLength !== undefined) {
    const length = Math.min(options.maxLength, maxPositions)
    return beyondPrompt(length, promptLength, "the model's own limit (max_length in its generation_config.json) is")
  }
  // At least 1, so that a prompt that is too long is refused for its own length.
  return Math.max(1, Math.min(options.maxNewTokens ?? NEW_TOKENS, maxPositions - promptLength))
}

function beyondPrompt(maxLength: number, promptLength: number, what: string): number {
  if (maxLength > promptLength) return maxLength - promptLength
  throw new UsageError(`${what} ${maxLength} tokens, and the prompt alone has ${promptLength}: give maxNewTokens`)
}

function numTexts(
  explicit: GenerationOptions,
  { numBeams = 1, numReturnSequences = 1 }: GenerationOptions,
  doSample: boolean,
): number {
  if (numReturnSequences === 1) return 1
  const possible = numBeams > 1 ? numBeams : doSample ? Infinity : 1
  if (numReturnSequences <= possible) return numReturnSequences
  if (explicit.numReturnSequences === undefined) return possible
  throw new UsageError(
    `numReturnSequences is ${numReturnSequences}, but ` +
      (numBeams > 1
        ? `numBeams ${numBeams}: give at most as many as there are beams`
        : 'the likeliest tokens are taken, which give one text: give a temperature above 0, or numBeams'),
  )
}

function checkVocabulary(options: GenerationOptions, vocabSize: number): void {
  const {
    logitBias = {},
    sequenceBias = [],
    badWordsIds = [],
    forcedPrefixIds = [],
    forcedBosTokenId = [],
    forcedEosTokenId = [],
  } = options
  const named = {
    logitBias: Object.keys(logitBias).map(Number),
    sequenceBias: sequenceBias.flatMap(([ids]) => ids),
    badWordsIds: badWordsIds.flat(),
    forcedPrefixIds,
    forcedBosTokenId: [forcedBosTokenId].flat(),
    forcedEosTokenId: [forcedEosTokenId].flat(),
  }
  for (const [name, ids] of Object.entries(named)) {
    const unknown = ids.find((id) => id >= vocabSize)
    if (unknown !== undefined)
      throw new UsageError(`${name} names token ${unknown}: the model has tokens 0 to ${vocabSize - 1}`)
  }
}
