import type { BeamCandidate } from '../../../sampling/beam-sampler.ts'
import type { ResolvedOptions } from '../../../sampling/options/options.ts'
import { type OpenBeams, openBeams } from '../choosing/open-beams.ts'
import { feed } from '../choosing/token-source.ts'
import { checkRequest, seedOf } from '../generate.ts'
import type { FinishReason, GenerationResult } from '../result.ts'
import { Beams, type JudgedCandidate } from './beams.ts'
import { type ForkableSource, Forks, allOver, prefill } from './forkable.ts'

/** The text of ids, without special tokens. */
export type DecodeText = (ids: readonly number[]) => Promise<string>

/** The state of one search, and the judgement on each candidate. */
class BeamSearch {
  readonly beams: Beams
  readonly #options: ResolvedOptions
  readonly #prefix: readonly number[]
  readonly #open: OpenBeams
  readonly #decode: DecodeText | undefined
  readonly #began = performance.now()

  /** `prefix`: all tokens before the answer. */
  constructor(
    source: ForkableSource,
    prefix: readonly number[],
    options: ResolvedOptions,
    decode: DecodeText | undefined,
  ) {
    const { numBeams = 1, lengthPenalty = 1, earlyStopping = false, maxNewTokens } = options
    this.beams = new Beams({ numBeams, lengthPenalty, earlyStopping, maxNewTokens })
    this.#options = options
    this.#prefix = prefix
    this.#open = openBeams(source, options, prefix)
    this.#decode = decode
  }

  /** Takes what `feed` returned for each running beam, and chooses the beams that go on. */
  async advance(states: readonly Float32Array[]): Promise<void> {
    const steps = this.beams.running.map(({ parent, tokenIds, total }) => ({
      parent,
      tokenId: tokenIds.at(-1),
      total,
    }))
    const candidates = await this.#open.candidates(states, steps)
    this.beams.advance(await Promise.all(candidates.map((candidate) => this.#judge(candidate))))
  }

  close(): void {
    this.#open.close()
  }

  /** The answer's text, without the EOS token and cut before the first stop string. */
  async textOf(tokenIds: readonly number[], finishReason: FinishReason): Promise<string> {
    const text = (await this.#decode?.(finishReason === 'eos' ? tokenIds.slice(0, -1) : tokenIds)) ?? ''
    const starts = (this.#options.stopStrings ?? []).map((stop) => text.indexOf(stop)).filter((start) => start >= 0)
    return text.slice(0, Math.min(text.length, ...starts))
  }

  async #judge({ beam, tokenId, total, logprob, complete }: BeamCandidate): Promise<JudgedCandidate> {
    const { tokenIds: before, logprobs } = this.beams.running[beam]!
    const tokenIds = [...before, tokenId]
    return {
      beam,
      tokenId,
      total,
      tokenIds,
      logprobs: this.#options.logprobs === true ? [...logprobs, logprob] : [],
      finishReason: complete ? 'stop' : await this.#finishReason(tokenIds),
    }
  }

  async #finishReason(tokenIds: readonly number[]): Promise<FinishReason | undefined> {
    const {
      eosTokenIds = [],
      stopStrings = [],
      stoppingCriteria = [],
      maxNewTokens,
      maxTimeMs = Infinity,
    } = this.#options
    if (eosTokenIds.includes(tokenIds.at(-1)!)) return 'eos'
    const text = stopStrings.length + stoppingCriteria.length > 0 ? await this.#decode?.(tokenIds) : undefined
    if (stopStrings.some((stop) => text?.includes(stop))) return 'stop'
    if (stoppingCriteria.some((ends) => ends([...this.#prefix, ...tokenIds], text))) return 'criterion'
    if (tokenIds.length === maxNewTokens) return 'length'
    return performance.now() - this.#began >= maxTimeMs ? 'time' : undefined
  }
}

/**
 * Beam search as in transformers: the `numReturnSequences` best answers of `numBeams` beams, best first, each with its
 * score. The prompt is fed once. Each beam has a source, a fork of `source`; sources of beams that end take over the
 * state of beams with several continuations. All running beams are fed at the same time. In the end `source` holds the
 * prompt.
 *
 * An aborted signal ends the search after the step under way; unfinished answers then have the finish reason `aborted`.
 * Throws `USAGE` for invalid options, `LOGITS_NAN`, and what the sources and the caller's own functions throw.
 */
export async function beamSearch(
  source: ForkableSource,
  promptIds: readonly number[],
  options: ResolvedOptions,
  decode?: DecodeText,
): Promise<GenerationResult[]> {
  checkRequest(promptIds, options, decode)
  const began = performance.now()
  const prefix = [...(source.heldIds ?? []), ...promptIds]
  const search = new BeamSearch(source, prefix, options, decode)
  const forks = new Forks(source)
  let prefillSeconds = 0
  try {
    const state = await prefill(source, promptIds, options)
    const promptEnd = source.position
    if (state !== undefined) {
      prefillSeconds = (performance.now() - began) / 1000
      await run(search, source, forks, state, options)
    }
    source.position = promptEnd
  } finally {
    search.close()
    await forks.close()
  }
  const results = search.beams.results(options.numReturnSequences ?? 1)
  return Promise.all(
    results.map(async ({ tokenIds, logprobs, score, finishReason }) => ({
      promptIds: [...promptIds],
      tokenIds: [...tokenIds],
      logprobs: [...logprobs],
      text: await search.textOf(tokenIds, finishReason),
      finishReason,
      score,
      ...seedOf(options),
      seconds: (performance.now() - began) / 1000,
      prefillSeconds,
    })),
  )
}

async function run(
  search: BeamSearch,
  source: ForkableSource,
  forks: Forks,
  first: Float32Array,
  options: ResolvedOptions,
): Promise<void> {
  const { beams } = search
  const { signal } = options
  const isAborted = (): boolean => signal?.aborted === true
  let sources = [source]
  await search.advance([first])
  while (!beams.done && !isAborted()) {
    try {
      sources = await rearrange(
        sources,
        beams.running.map(({ parent }) => parent),
        forks,
      )
      const fed = sources.map((each, i) => feed(each, [beams.running[i]!.tokenIds.at(-1)!], options))
      await search.advance(await allOver(fed))
    } catch (error) {
      if (!isAborted()) throw error
    }
  }
}

/**
 * The sources for the next beams, which continue the beams `parents`. One child of each beam goes on in its parent's
 * source. The others are copied into sources of beams that have no child, or into new ones, so that no source is copied
 * from while it is overwritten.
 */
function rearrange(
  sources: readonly ForkableSource[],
  parents: readonly number[],
  forks: Forks,
): Promise<ForkableSource[]> {
  const free = sources.filter((_, i) => !parents.includes(i))
  const kept = new Set<number>()
  return allOver(
    parents.map(async (parent) => {
      const source = sources[parent]!
      if (!kept.has(parent)) {
        kept.add(parent)
        return source
      }
      const target = free.pop()
      if (target === undefined) return forks.add(source)
      await target.forkFrom(source)
      return target
    }),
  )
}
