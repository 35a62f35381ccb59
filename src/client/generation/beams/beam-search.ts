import { Beams, type JudgedCandidate } from './beams.ts'
import { type ForkableSource, Forks, allOver, prefill } from './forkable.ts'
import { type FinishReason, type GenerationResult, checkRequest } from '../generate.ts'
import { type LogitsProcessor, expSum, maxLogit } from '../sampling/logits.ts'
import { type ResolvedOptions, isSampling } from '../options/options.ts'
import { createProcessors } from '../sampling/processors.ts'
import { seededRandom } from '../options/random.ts'
import { type Candidate, topCandidates } from '../sampling/top-candidates.ts'

/** Gives the text of ids, special tokens left out. */
export type DecodeText = (ids: readonly number[]) => Promise<string>

/** One search: the beams' sources, in the order of the beams, and what is asked of each candidate. */
class BeamSearch {
  readonly beams: Beams
  readonly #options: ResolvedOptions
  readonly #prefix: readonly number[]
  readonly #processors: readonly LogitsProcessor[]
  readonly #random: (() => number) | undefined
  readonly #numCandidates: number
  readonly #decode: DecodeText | undefined
  readonly #began = performance.now()

  /** `prefix`: all tokens before the answer. */
  constructor(prefix: readonly number[], options: ResolvedOptions, decode: DecodeText | undefined) {
    const { numBeams = 1, lengthPenalty = 1, earlyStopping = false, maxNewTokens, eosTokenIds = [] } = options
    const each = Math.max(2, eosTokenIds.length + 1)
    this.beams = new Beams({ numBeams, lengthPenalty, earlyStopping, maxNewTokens })
    this.#options = options
    this.#prefix = prefix
    this.#processors = createProcessors(options, { promptLength: prefix.length, minTokensToKeep: each })
    this.#random = isSampling(options) ? seededRandom(options.seed) : undefined
    // Even where each beam's best continuations all end, as many as there are beams go on.
    this.#numCandidates = numBeams * each
    this.#decode = decode
  }

  /** Takes the logits [vocab] after each running beam, and chooses the beams that go on. */
  async advance(logits: readonly Float32Array[]): Promise<void> {
    const { running } = this.beams
    const shifts = logits.map((row) => logOfSum(row))
    const logProbs = logits.map((row, i) =>
      this.#processed(
        row.map((logit) => logit - shifts[i]!),
        running[i]!.tokenIds,
      ),
    )
    const candidates = topCandidates(
      logProbs,
      running.map(({ total }) => total),
      this.#numCandidates,
      this.#random,
    )
    const judged = candidates.map((candidate) =>
      this.#judge(candidate, logits[candidate.beam]![candidate.tokenId]! - shifts[candidate.beam]!),
    )
    this.beams.advance(await Promise.all(judged))
  }

  /** The answer's text: without the EOS, cut before the first stop string. */
  async textOf(tokenIds: readonly number[], finishReason: FinishReason): Promise<string> {
    const text = (await this.#decode?.(finishReason === 'eos' ? tokenIds.slice(0, -1) : tokenIds)) ?? ''
    const starts = (this.#options.stopStrings ?? []).map((stop) => text.indexOf(stop)).filter((start) => start >= 0)
    return text.slice(0, Math.min(text.length, ...starts))
  }

  #processed(logProbs: Float32Array, tokenIds: readonly number[]): Float32Array {
    const ids = [...this.#prefix, ...tokenIds]
    for (const process of this.#processors) process(logProbs, ids)
    return logProbs
  }

  async #judge(candidate: Candidate, logprob: number): Promise<JudgedCandidate> {
    const { tokenIds: before, logprobs } = this.beams.running[candidate.beam]!
    const tokenIds = [...before, candidate.tokenId]
    const finishReason = await this.#finishReason(tokenIds)
    return {
      ...candidate,
      tokenIds,
      logprobs: this.#options.logprobs === true ? [...logprobs, logprob] : [],
      finishReason,
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
 * Beam search, as transformers does it: the `numReturnSequences` best answers of `numBeams` beams, best first, each
 * with its score. The prompt is fed once; beams are copies of `source`, and where one has several continuations their
 * sources take over its state. Beams that go on are fed at the same time. In the end `source` holds the prompt.
 *
 * An aborted signal ends it after the step under way; what is unfinished then has the finish reason `aborted`.
 * Throws `USAGE` for options that cannot be, `LOGITS_NAN`, and what the sources and the caller's own functions throw.
 */
export async function beamSearch(
  source: ForkableSource,
  promptIds: readonly number[],
  options: ResolvedOptions,
  decode?: DecodeText,
): Promise<GenerationResult[]> {
  checkRequest(promptIds, options, decode)
  const began = performance.now()
  const search = new BeamSearch([...(source.heldIds ?? []), ...promptIds], options, decode)
  const logits = await prefill(source, promptIds, options.signal)
  const prefillSeconds = logits === undefined ? 0 : (performance.now() - began) / 1000
  const promptEnd = source.position
  const forks = new Forks(source)
  try {
    if (logits !== undefined) await run(search, source, forks, logits, options.signal)
  } finally {
    await forks.close()
  }
  source.position = promptEnd
  const results = search.beams.results(options.numReturnSequences ?? 1)
  return Promise.all(
    results.map(async ({ tokenIds, logprobs, score, finishReason }) => ({
      promptIds: [...promptIds],
      tokenIds: [...tokenIds],
      logprobs: [...logprobs],
      text: await search.textOf(tokenIds, finishReason),
      finishReason,
      score,
      seconds: (performance.now() - began) / 1000,
      prefillSeconds,
    })),
  )
}

function logOfSum(logits: Float32Array): number {
  const max = maxLogit(logits)
  return max + Math.log(expSum(logits, max))
}

async function run(
  search: BeamSearch,
  source: ForkableSource,
  forks: Forks,
  first: Float32Array,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { beams } = search
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
      const fed = sources.map((each, i) => each.next([beams.running[i]!.tokenIds.at(-1)!]))
      await search.advance(await allOver(fed))
    } catch (error) {
      if (!isAborted()) throw error
    }
  }
}

/**
 * Sources for beams that continue the beams `parents` of those that `sources` stand for: one child goes on in its
 * parent's, the others in those that no beam continues, or in new ones. So no source is copied from while it is copied
 * to.
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
