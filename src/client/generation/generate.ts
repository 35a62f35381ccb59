// Generation, from a prompt to texts. Here: one text, token by token. Around it: `continuations.ts`, several texts of
// one prompt; `batch.ts`, several prompts; `resolve.ts`, the caller's options over the model's own. Rooms: `choosing/`,
// where the next token comes from (the head's thread, or logits here); `beams/`, beam search; `text/`, ids to text and
// where it ends. How a token is chosen from logits, and what options there are, is the floor `sampling/`.

import { UsageError } from '../../base/errors.ts'
import { sharedTurns } from '../../base/shared-turns.ts'
import { checkOptions } from '../../sampling/options/check.ts'
import { type ResolvedOptions, isSampling } from '../../sampling/options/options.ts'
import { openText } from './choosing/open-text.ts'
import { Steps } from './choosing/steps.ts'
import type { TokenSource } from './choosing/token-source.ts'
import type { FinishReason, GenerationChunk, GenerationResult } from './result.ts'
import { TextOutput, type TextStream } from './text/text-output.ts'

/**
 * Generates one text token by token: yields a chunk for each token and returns the result. The prompt is fed in one
 * call, each generated token but the last in a call of its own. Without `text` (a decoder) all text is empty.
 *
 * The signal is checked between steps, and the source gets it, so that a step can end with it; one that does not still
 * gives its token. If the caller stops early, the tokens of all chunks that it got have been fed, and no step is under
 * way.
 *
 * Throws `USAGE` for invalid options and prompts and if the options leave no token, `LOGITS_NAN`, and what the source,
 * the decoder and the caller's own processors and criteria throw.
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
  const textDecides = stopStrings.length > 0 || stoppingCriteria.length > 0
  const output = new TextOutput(text, stopStrings)
  const ids = [...heldIds, ...promptIds]
  const open = openText(source, options, ids)
  const steps = new Steps((fed) => open.step(fed), signal)
  const logprobs: number[] = []
  let shown = ''
  let prefillSeconds = 0
  let finishReason: FinishReason | undefined

  try {
    steps.start([...promptIds])
    while (steps.underWay) {
      const choose = await steps.result()
      if (choose === undefined) break
      const turn = sharedTurns.next()
      if (turn !== undefined) await turn
      if (ids.length === promptLength) prefillSeconds = elapsed()
      const { tokenId, logprob, top = [], complete } = choose()
      ids.push(tokenId)
      if (logprob !== undefined) logprobs.push(logprob)
      if (eosTokenIds.includes(tokenId)) finishReason = 'eos'
      else if (complete === true) finishReason = 'stop'
      else if (ids.length === promptLength + maxNewTokens) finishReason = 'length'
      else if (elapsed() * 1000 >= maxTimeMs) finishReason = 'time'

      // Starts the next step without waiting for the text, unless the text decides whether there is a next step.
      if (finishReason === undefined && !textDecides) steps.start([tokenId])
      let piece = finishReason === 'eos' ? '' : await output.push(tokenId)
      const textSoFar = text === undefined ? undefined : shown + piece
      if (output.stop !== undefined) finishReason = 'stop'
      else if (finishReason !== 'eos' && stoppingCriteria.some((ends) => ends(ids, textSoFar)))
        finishReason = 'criterion'
      if (finishReason === undefined && textDecides) steps.start([tokenId])

      if (!steps.underWay) piece += await output.finish()
      shown += piece
      yield { tokenIds: [tokenId], text: piece, ...(logprob !== undefined && { logprobs: [{ logprob, top }] }) }
    }
    const rest = await output.finish()
    shown += rest
    if (rest !== '') yield { tokenIds: [], text: rest }
  } finally {
    await steps.settled()
    open.close()
  }
  return {
    promptIds: [...promptIds],
    tokenIds: ids.slice(promptLength),
    logprobs,
    text: shown,
    finishReason: finishReason ?? 'aborted',
    ...(output.stop !== undefined && { stopString: output.stop }),
    ...seedOf(options),
    seconds: elapsed(),
    prefillSeconds,
  }
}

/** The seed of a text, for its result; empty where nothing was drawn. */
export function seedOf(options: ResolvedOptions): { readonly seed?: number } {
  return options.seed !== undefined && isSampling(options) ? { seed: options.seed } : {}
}

/** Checks a prompt and options. `text` is the decoder, if there is a tokenizer. Throws `USAGE`. */
export function checkRequest(promptIds: readonly number[], options: ResolvedOptions, text: object | undefined): void {
  checkOptions(options)
  if (promptIds.length === 0) throw new UsageError('the prompt has no tokens: give at least one, e.g. the BOS')
  if (text === undefined && (options.stopStrings ?? []).length > 0) {
    throw new UsageError(
      "stopStrings need the model's tokenizer, and it has none: give maxNewTokens, or ids that end it",
    )
  }
}

/** Starts a watch; the returned function gives the seconds since then. */
function stopwatch(): () => number {
  const began = performance.now()
  return () => (performance.now() - began) / 1000
}
