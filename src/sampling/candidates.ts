import { likeliest } from './logits.ts'
import { SMALLEST, kthLargest } from './selection.ts'

/**
 * Bounds on rounding: two different float32 logits can become equal by a division only if they are this close, relative
 * to their size (`ROUNDING`) or, where the quotients are subnormal, absolutely (`SMALLEST_ROUNDING`).
 */
const ROUNDING = 2 ** -22
const SMALLEST_ROUNDING = 2 ** -148

/**
 * The tokens that may still be drawn, in ascending order of id: token `ids[i]` has logit `logits[i]`, for i below
 * `count`. `fill` takes them from a vocabulary; after that tokens are only removed, so each further step costs less.
 * The arrays are used again for every token.
 */
export class Candidates {
  ids = new Int32Array(0)
  logits = new Float32Array(0)
  count = 0
  /** Scratch memory for selections: a value for each token, and the weight of that value. */
  values = new Float32Array(0)
  weights = new Float64Array(0)

  /**
   * Takes all tokens whose logit is not -Infinity or, with `k` > 0, only those that can be among the `k` likeliest
   * after the logits are divided by `temperature`. A few more than `k` may stay, because the division can make
   * different logits equal. Throws as `likeliest` does.
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

  /** The largest logit among the candidates. */
  max(): number {
    const { logits, count } = this
    let max = -Infinity
    for (let i = 0; i < count; i++) if (logits[i]! > max) max = logits[i]!
    return max
  }

  /** The k-th largest logit among the candidates, or the smallest if there are fewer than k. */
  kthLargest(k: number): number {
    return kthLargest(this.logits, this.count, k, this.values, this.weights)
  }

  /** Keeps only the tokens whose logit is at least `least`. */
  keepFrom(least: number): void {
    const { logits } = this
    this.keep((i) => logits[i]! >= least)
  }

  /**
   * Keeps only the tokens at those indices i for which `holds(i)` is true. `holds` is called once for each index, in
   * ascending order.
   */
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

  /**
   * A lower bound of the logits to keep: the k-th largest one, minus what rounding in the division by `temperature` can
   * hide.
   */
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
