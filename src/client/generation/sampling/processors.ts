import { type SequenceBias, badWords, force, sequenceBias, suppress } from './constraints.ts'
import { type LogitsProcessor, requirePossible } from './logits.ts'
import { type ResolvedOptions, isSampling } from '../options/options.ts'
import { countPenalties, noRepeatNgrams, repetitionPenalty } from './penalties.ts'
import { minP, temperature, topK, topP, typicalP } from './warpers.ts'

export type { LogitsProcessor }

export interface ProcessorContext {
  /** Tokens before the answer. */
  readonly promptLength: number
  /**
   * Tokens that top-p, top-k and the like keep at least: 1, or for drawing beams one more than there are EOS tokens.
   */
  readonly minTokensToKeep?: number
}

/**
 * What checked options do to the logits of each token, in transformers' order; none where that is nothing. The list
 * holds only memory to work in, so texts of one prompt length can share it. It throws `USAGE` where the options leave
 * no token.
 */
export function createProcessors(options: ResolvedOptions, context: ProcessorContext): LogitsProcessor[] {
  const processors = [
    ...biases(options),
    ...penalties(options, context),
    ...endings(options, context),
    ...forced(options, context),
    ...suppressed(options, context),
    ...(options.logitsProcessors ?? []),
  ]
  if (processors.length > 0) processors.push(requirePossible)
  return isSampling(options) ? [...processors, ...warpers(options, context.minTokensToKeep)] : processors
}

function biases({ sequenceBias: sequences = [], logitBias = {} }: ResolvedOptions): LogitsProcessor[] {
  const single = Object.entries(logitBias).map(([id, bias]): SequenceBias => [[Number(id)], bias])
  const all = [...sequences, ...single]
  return all.length > 0 ? [sequenceBias(all)] : []
}

function penalties(options: ResolvedOptions, { promptLength }: ProcessorContext): LogitsProcessor[] {
  const {
    repetitionPenalty: penalty = 1,
    presencePenalty: presence = 0,
    frequencyPenalty: frequency = 0,
    noRepeatNgramSize: size = 0,
  } = options
  const processors: LogitsProcessor[] = []
  if (penalty !== 1) processors.push(repetitionPenalty(penalty))
  if (presence !== 0 || frequency !== 0) processors.push(countPenalties({ presence, frequency }, promptLength))
  if (size > 0) processors.push(noRepeatNgrams(size))
  return processors
}

function endings(options: ResolvedOptions, { promptLength }: ProcessorContext): LogitsProcessor[] {
  const { badWordsIds = [], eosTokenIds = [], minNewTokens, minLength = 0 } = options
  const least = minNewTokens === undefined ? minLength : promptLength + minNewTokens
  const processors: LogitsProcessor[] = []
  if (badWordsIds.length > 0) processors.push(badWords(badWordsIds, eosTokenIds))
  if (least > promptLength && eosTokenIds.length > 0)
    processors.push(suppress(eosTokenIds, (numTokens) => numTokens < least))
  return processors
}

function forced(options: ResolvedOptions, { promptLength }: ProcessorContext): LogitsProcessor[] {
  const { forcedPrefixIds = [], forcedBosTokenId, forcedEosTokenId, maxNewTokens } = options
  const processors: LogitsProcessor[] = []
  if (forcedPrefixIds.length > 0) {
    const prefix = forcedPrefixIds.map((id) => [id])
    processors.push(force((numTokens) => prefix[numTokens - promptLength]))
  }
  if (forcedBosTokenId !== undefined) {
    const bos = [forcedBosTokenId]
    processors.push(force((numTokens) => (numTokens === 1 ? bos : undefined)))
  }
  if (forcedEosTokenId !== undefined) {
    const eos = [forcedEosTokenId].flat()
    processors.push(force((numTokens) => (numTokens === promptLength + maxNewTokens - 1 ? eos : undefined)))
  }
  return processors
}

function suppressed(options: ResolvedOptions, { promptLength }: ProcessorContext): LogitsProcessor[] {
  const { suppressTokens = [], beginSuppressTokens = [], forcedBosTokenId } = options
  const begin = promptLength > 1 || forcedBosTokenId === undefined ? promptLength : promptLength + 1
  const processors: LogitsProcessor[] = []
  if (suppressTokens.length > 0) processors.push(suppress(suppressTokens))
  if (beginSuppressTokens.length > 0) processors.push(suppress(beginSuppressTokens, (numTokens) => numTokens === begin))
  return processors
}

function warpers(options: ResolvedOptions, keep = 1): LogitsProcessor[] {
  const { temperature: t = 1, topK: k = 0, topP: p = 1, minP: least = 0, typicalP: typical = 1 } = options
  const processors: LogitsProcessor[] = []
  if (t !== 1) processors.push(temperature(t))
  if (k > 0) processors.push(topK(Math.max(k, keep)))
  if (p < 1) processors.push(topP(p, keep))
  if (least > 0) processors.push(minP(least, keep))
  if (typical < 1) processors.push(typicalP(typical, keep))
  return processors
}
