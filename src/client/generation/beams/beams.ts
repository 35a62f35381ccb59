import type { FinishReason } from '../result.ts'
import type { Candidate } from '../../../sampling/top-candidates.ts'

/** A running beam: an answer that may go on. */
export interface Beam {
  /** Tokens of the answer. */
  readonly tokenIds: readonly number[]
  /** Each token's log-probability under the model itself; empty if not asked for. */
  readonly logprobs: readonly number[]
  /** Sum of the log-probabilities after logits processors. */
  readonly total: number
  /** Index of the beam of the previous step that it continues. */
  readonly parent: number
}

/** A finished answer. */
export interface FinishedBeam {
  readonly tokenIds: readonly number[]
  readonly logprobs: readonly number[]
  /** The sum of log-probabilities divided by a power of the length. */
  readonly score: number
  readonly finishReason: FinishReason
}

export interface BeamsOptions {
  readonly numBeams: number
  readonly lengthPenalty: number
  readonly earlyStopping: boolean | 'never'
  readonly maxNewTokens: number
}

/** A candidate with the answer that it would make, and the reason why that answer ends, if it does. */
export interface JudgedCandidate extends Candidate {
  readonly tokenIds: readonly number[]
  readonly logprobs: readonly number[]
  readonly finishReason: FinishReason | undefined
}

/**
 * The bookkeeping of a beam search, as in transformers: which beams go on, which answers are kept, and when the search
 * is over.
 */
export class Beams {
  readonly #options: BeamsOptions
  #running: readonly Beam[] = [{ tokenIds: [], logprobs: [], total: 0, parent: 0 }]
  #finished: readonly FinishedBeam[] = []
  #done = false

  constructor(options: BeamsOptions) {
    this.#options = options
  }

  /** The running beams, best first. At the beginning, one without tokens. */
  get running(): readonly Beam[] {
    return this.#running
  }

  /** The kept answers, best first; at most `numBeams`. */
  get finished(): readonly FinishedBeam[] {
    return this.#finished
  }

  get done(): boolean {
    return this.#done
  }

  /**
   * Takes the candidates of one step, best first; all have the same length. Of the first `numBeams`, those that end are
   * kept as answers if they are good enough. The best of the others become the running beams.
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

  /** The `count` best answers, best first; running beams are added if there are too few. */
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
   * Whether the best running beam could still beat the worst kept answer: by its score now or, with `earlyStopping`
   * 'never' and a positive length penalty, if its log-probability stayed the same up to `maxNewTokens`.
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
