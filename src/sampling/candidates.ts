import { likeliest } from './logits.ts'
import { SMALLEST, kthLargest } from './selection.ts'

/**
 * How far apart two float32 can be that a division makes equal: relative to them, and where it gives very small ones.
 */
const ROUNDING = 2 ** -22
const SMALLEST_ROUNDING = 2 ** -148

/**
 * Tokens that may still come next, the ids ascending, each with its logit: `ids[i]` and `logits[i]` for i below
 * `count`. It is filled from a vocabulary and then only loses tokens, which cost nothing more. Holds memory that is
 * used again and again.
 */
export class Candidates {
  ids = new Int32Array(0)
  logits = new Float32Array(0)
  count = 0
  /** Room to select in: a value for each token, and what it weighs. */
  values = new Float32Array(0)
  weights = new Float64Array(0)

  /**
   * Takes all tokens that can be, or only those that may be among the `k` likeliest once the logits are divided by
   * `temperature`, which can make unlike ones equal. Throws as `likeliest`.
   */
  fill(logits: Float32Array, k = 0, temperature = 1): void {
    const { length } = logits
    if (this.ids.length !== length) this.#resize(length)
    const max = logits[likeliest(logits)]!
    const least = k > 0 && k < length ? this.#leastOf(logits, k, max, temperature) : SMALLEST
    const { ids, logits: kept } = this
    let count = 0
    for (let id = 0; id < length; id++) {
      const logit = logits[id]!
      if (logit < least) continue
      ids[count] = id
      kept[count++] = logit
    }
    this.count = count
  }

  /** The largest logit. */
  max(): number {
    const { logits, count } = this
    let max = -Infinity
    for (let i = 0; i < count; i++) if (logits[i]! > max) max = logits[i]!
    return max
  }

  /** The k-th largest logit, or the smallest where there are fewer. */
  kthLargest(k: number): number {
    return kthLargest(this.logits, this.count, k, this.values, this.weights)
  }

  /** Leaves only the tokens whose logit is at least `least`. */
  keepFrom(least: number): void {
    const { logits } = this
    this.keep((i) => logits[i]! >= least)
  }

  /** Leaves only the tokens at those places of which `holds` is true; it is asked for each, in order. */
  keep(holds: (i: number) => boolean): void {
    const { ids, logits, count } = this
    let kept = 0
    for (let i = 0; i < count; i++) {
      if (!holds(i)) continue
      ids[kept] = ids[i]!
      logits[kept++] = logits[i]!
    }
    this.count = kept
  }

  /** Below the k-th largest logit by as much as dividing by `temperature` can make equal to it. */
  #leastOf(logits: Float32Array, k: number, max: number, temperature: number): number {
    const least = kthLargest(logits, logits.length, k, this.values, this.weights)
    if (temperature === 1) return Math.max(SMALLEST, least)
    const slack = (Math.abs(least) + Math.abs(max)) * ROUNDING + temperature * SMALLEST_ROUNDING
    return Math.max(SMALLEST, least - slack)
  }

  #resize(length: number): void {
    this.ids = new Int32Array(length)
    this.logits = new Float32Array(length)
    this.values = new Float32Array(length)
    this.weights = new Float64Array(length)
  }
}
