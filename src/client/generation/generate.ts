import { UsageError } from '../../base/errors.ts'
import { type ResolvedOptions, checkOptions } from './options/options.ts'
import { createSampler } from './sampling/sampler.ts'
import { Steps, type TokenSource } from './steps.ts'
import { TextOutput, type TextStream } from './text/text-output.ts'

export type { TextStream, TokenSource }

export interface GenerationChunk {
  readonly tokenIds: number[]
  /** May be '' while a character is incomplete or a stop string may begin. */
  readonly text: string
}

/**
 * - `length`: all of `maxNewTokens` were generated
 * - `eos`: the last token ends the text
 * - `stop`: the last token completed a stop string
 * - `criterion`: one of the stopping criteria said so
 * - `time`: the last token came after `maxTimeMs`
 * - `aborted`: the signal
 */
export type FinishReason = 'length' | 'eos' | 'stop' | 'criterion' | 'time' | 'aborted'

export interface GenerationResult {
  readonly promptIds: number[]
  /** All that were generated, with the EOS and those of a stop string. */
  readonly tokenIds: number[]
  /** Of each generated token, under the model itself: before all processors. Empty unless asked for. */
  readonly logprobs: number[]
  /** Without the EOS and the stop string: the chunks' texts, joined. */
  readonly text: string
  readonly finishReason: FinishReason
  /**
   * Of a beam: the sum of its log-probabilities after all processors, divided by its length to the power of
   * `lengthPenalty`.
   */
  readonly score?: number
  readonly seconds: number
  /** Until the first logits; 0 where there were none. */
  readonly prefillSeconds: number
}

/**
 * Generates token by token: a chunk for each, the result as the generator's return value. The prompt is fed in one call
 * and each generated token but the last in one of its own. Without `text` all text is empty.
 *
 * The signal is looked at between steps: one that is under way still gives its token, unless it fails. To end a long
 * step at once, make the source fail when the signal is aborted. A caller that leaves the generator early has had all
 * tokens of its chunks fed; no step is under way then.
 *
 * Throws `USAGE` for options and prompts that cannot be and where options leave no token, `LOGITS_NAN`, and what the
 * source, the text stream and the caller's own processors and criteria throw.
 */
export async function* generate(
  source: TokenSource,
  promptIds: readonly number[],
  options: ResolvedOptions,
  text?: TextStream,
): AsyncGenerator<GenerationChunk, GenerationResult> {
  checkRequest(promptIds, options, text)
  const {
    maxNewTokens,
    eosTokenIds = [],
    stopStrings = [],
    stoppingCriteria = [],
    maxTimeMs = Infinity,
    signal,
  } = options
  const elapsed = stopwatch()
  const heldIds = source.heldIds ?? []
  const promptLength = heldIds.length + promptIds.length
  const sample = createSampler(options, promptLength)
  const textDecides = stopStrings.length > 0 || stoppingCriteria.length > 0
  const output = new TextOutput(text, stopStrings)
  const steps = new Steps(source, signal)
  const ids = [...heldIds, ...promptIds]
  const logprobs: number[] = []
  let shown = ''
  let prefillSeconds = 0
  let finishReason: FinishReason | undefined

  try {
    steps.start([...promptIds])
    while (steps.underWay) {
      const logits = await steps.logits()
      if (logits === undefined) break
      if (ids.length === promptLength) prefillSeconds = elapsed()
      const { tokenId, logprob } = sample(logits, ids)
      ids.push(tokenId)
      if (logprob !== undefined) logprobs.push(logprob)
      if (eosTokenIds.includes(tokenId)) finishReason = 'eos'
      else if (ids.length === promptLength + maxNewTokens) finishReason = 'length'
      else if (elapsed() * 1000 >= maxTimeMs) finishReason = 'time'

      // The next step does not wait for the text, unless that decides whether there is one.
      if (finishReason === undefined && !textDecides) steps.start([tokenId])
      let piece = finishReason === 'eos' ? '' : await output.push(tokenId)
      const textSoFar = text === undefined ? undefined : shown + piece
      if (output.stopped) finishReason = 'stop'
      else if (finishReason !== 'eos' && stoppingCriteria.some((ends) => ends(ids, textSoFar)))
        finishReason = 'criterion'
      if (finishReason === undefined && textDecides) steps.start([tokenId])

      if (!steps.underWay) piece += await output.finish()
      shown += piece
      yield { tokenIds: [tokenId], text: piece }
    }
    const rest = await output.finish()
    shown += rest
    if (rest !== '') yield { tokenIds: [], text: rest }
  } finally {
    await steps.settled()
  }
  return {
    promptIds: [...promptIds],
    tokenIds: ids.slice(promptLength),
    logprobs,
    text: shown,
    finishReason: finishReason ?? 'aborted',
    seconds: elapsed(),
    prefillSeconds,
  }
}

/** Throws `USAGE`; `text` is what makes the text, where there is a tokenizer. */
export function checkRequest(promptIds: readonly number[], options: ResolvedOptions, text: object | undefined): void {
  checkOptions(options)
  if (promptIds.length === 0) throw new UsageError('the prompt has no tokens: give at least one, e.g. the BOS')
  if (text === undefined && (options.stopStrings ?? []).length > 0) {
    throw new UsageError("stopStrings need the model's tokenizer, and it has none: use eosTokenIds or maxNewTokens")
  }
}

function stopwatch(): () => number {
  const began = performance.now()
  return () => (performance.now() - began) / 1000
}
