import { type SequenceBias, badWords, force, sequenceBias, suppress } from './constraints.ts'
import type { TextConstraint } from './grammar/text-constraint.ts'
import { type LogitsProcessor, requirePossible } from './logits.ts'
import type { ResolvedOptions } from './options/options.ts'
import { countPenalties, noRepeatNgrams, repetitionPenalty } from './penalties.ts'
import type { Workspace } from './workspace.ts'

/**
 * The list of logits processors that checked options ask for, in transformers' order; empty if they ask for none.
 * `promptLength` is the number of tokens before the answer. Processors keep nothing about a text, so texts with prompts
 * of one length can share a list. A `constraint` comes after all others, so that nothing lets in what it has banned.
 * The list's last processor throws `USAGE` if the options ban every token.
 */
export function createProcessors(
  options: ResolvedOptions,
  promptLength: number,
  workspace: Workspace,
  constraint?: TextConstraint,
): LogitsProcessor[] {
  const processors = [
    ...biases(options),
    ...penalties(options, promptLength, workspace),
    ...endings(options, promptLength),
    ...forced(options, promptLength),
    ...suppressed(options, promptLength),
    ...(options.logitsProcessors ?? []),
    ...(constraint === undefined ? [] : [constraint.process]),
  ]
  return processors.length === 0 ? [] : [...processors, requirePossible]
}

/** `sequenceBias` and `logitBias`. */
function biases({ sequenceBias: sequences = [], logitBias = {} }: ResolvedOptions): LogitsProcessor[] {
  const single = Object.entries(logitBias).map(([id, bias]): SequenceBias => [[Number(id)], bias])
  const all = [...sequences, ...single]
  return all.length > 0 ? [sequenceBias(all)] : []
}

function penalties(options: ResolvedOptions, promptLength: number, workspace: Workspace): LogitsProcessor[] {
  const {
    repetitionPenalty: penalty = 1,
    presencePenalty: presence = 0,
    frequencyPenalty: frequency = 0,
    noRepeatNgramSize: size = 0,
  } = options
  const processors: LogitsProcessor[] = []
  if (penalty !== 1) processors.push(repetitionPenalty(penalty, workspace))
  if (presence !== 0 || frequency !== 0)
    processors.push(countPenalties({ presence, frequency }, promptLength, workspace))
  if (size > 0) processors.push(noRepeatNgrams(size))
  return processors
}

/** What keeps EOS tokens and bad words out. */
function endings(options: ResolvedOptions, promptLength: number): LogitsProcessor[] {
  const { badWordsIds = [], eosTokenIds = [], minNewTokens, minLength = 0 } = options
  const least = minNewTokens === undefined ? minLength : promptLength + minNewTokens
  const processors: LogitsProcessor[] = []
  if (badWordsIds.length > 0) processors.push(badWords(badWordsIds, eosTokenIds))
  if (least > promptLength && eosTokenIds.length > 0)
    processors.push(suppress(eosTokenIds, (numTokens) => numTokens < least))
  return processors
}

function forced(options: ResolvedOptions, promptLength: number): LogitsProcessor[] {
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

function suppressed(options: ResolvedOptions, promptLength: number): LogitsProcessor[] {
  const { suppressTokens = [], beginSuppressTokens = [], forcedBosTokenId } = options
  const begin = promptLength > 1 || forcedBosTokenId === undefined ? promptLength : promptLength + 1
  const processors: LogitsProcessor[] = []
  if (suppressTokens.length > 0) processors.push(suppress(suppressTokens))
  if (beginSuppressTokens.length > 0) processors.push(suppress(beginSuppressTokens, (numTokens) => numTokens === begin))
  return processors
}
