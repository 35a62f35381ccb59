import type { FinishReason } from '../result.ts'
import type { Candidate } from '../../../sampling/top-candidates.ts'

/** An answer that goes on. */
export interface Beam {
  /** Tokens of the answer. */
  readonly tokenIds: readonly number[]
  /** Of each token, under the model itself; empty where they were not asked for. */
  readonly logprobs: readonly number[]
  /** Sum of the log-probabilities after the processors. */
  readonly total: number
  /** Which of the beams before it continues. */
  readonly parent: number
}

export interface FinishedBeam {
  readonly tokenIds: readonly number[]
  readonly logprobs: readonly number[]
  /** The sum of log-probabilities, divided by a power of the length. */
  readonly score: number
  readonly finishReason: FinishReason
}

export interface BeamsOptions {
  readonly numBeams: number
  readonly lengthPenalty: number
  readonly earlyStopping: boolean | 'never'
  readonly maxNewTokens: number
}

/** What a candidate would make of its beam, and why that ends there, if it does. */
export interface JudgedCandidate extends Candidate {
  readonly tokenIds: readonly number[]
  readonly logprobs: readonly number[]
  readonly finishReason: FinishReason | undefined
}

/**
 * The bookkeeping of a beam search, as transformers does it: which beams go on, which answers are kept, when it is
 * over.
 */
export class Beams {
  readonly #options: BeamsOptions
  #running: readonly Beam[] = [{ tokenIds: [], logprobs: [], total: 0, parent: 0 }]
  #finished: readonly FinishedBeam[] = []
  #done = false

  constructor(options: BeamsOptions) {
    this.#options = options
  }

  /** Best first; at first one with no tokens. */
  get running(): readonly Beam[] {
    return this.#running
  }

  /** At most `numBeams`, best first. */
  get finished(): readonly FinishedBeam[] {
    return this.#finished
  }

  get done(): boolean {
    return this.#done
  }

  /**
   * Takes the candidates of one step, all of one length, best first: those that end and are among the first `numBeams`
   * are kept as answers where they are good enough, the best of the others go on.
   */
  advance(candidates: readonly JudgedCandidate[]): void {
    const { numBeams } = this.#options
    const ended = candidates
      .slice(0, numBeams)
      .flatMap(({ tokenIds, logprobs, total, finishReason }) =>
        finishReason === undefined
          ? []
          : [{ tokenIds, logprobs, score: this.#score(total, tokenIds.length), finishReason }],
      )
    this.#finished = [...this.#finished, ...ended].sort((a, b) => b.score - a.score).slice(0, numBeams)
    this.#running = candidates
      .filter(({ finishReason }) => finishReason === undefined)
      .sort((a, b) => b.total - a.total)
      .slice(0, numBeams)
      .map(({ tokenIds, logprobs, total, beam }) => ({ tokenIds, logprobs, total, parent: beam }))
    this.#done =
      this.#running.length === 0 ||
      (this.#finished.length === numBeams && (this.#options.earlyStopping === true || !this.#canImprove()))
  }

  /** Answers, best first, and where there are too few of them what is still under way. */
  results(count: number): FinishedBeam[] {
    const open = this.#running.map(({ tokenIds, logprobs, total }) => ({
      tokenIds,
      logprobs,
      score: this.#score(total, Math.max(1, tokenIds.length)),
      finishReason: 'aborted' as const,
    }))
    return [...this.#finished, ...open].slice(0, count)
  }

  /**
   * Whether the best running beam might still beat the worst answer, were it to end now, or at most as late as it can.
   */
  #canImprove(): boolean {
    const { earlyStopping, lengthPenalty, maxNewTokens } = this.#options
    const { total, tokenIds } = this.#running[0]!
    const length = earlyStopping === 'never' && lengthPenalty > 0 ? maxNewTokens : tokenIds.length
    return this.#score(total, length) > this.#finished.at(-1)!.score
  }

  #score(total: number, length: number): number {
    return total / length ** this.#options.lengthPenalty
  }
}
