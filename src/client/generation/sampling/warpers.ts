import { findCutoff } from './cutoff.ts'
import { type LogitsProcessor, maxLogit } from './logits.ts'

/** Beyond this a divided logit is near the end of float32. */
const FLOAT32_NEAR_MAX = 1e38

/**
 * Divides the logits by `temperature` (> 0). Where that would overflow they are shifted first, so that the largest is
 * 0.
 */
export function temperature(temperature: number): LogitsProcessor {
  return (logits) => {
    const max = maxLogit(logits)
    const shift = Math.abs(max) / temperature < FLOAT32_NEAR_MAX ? 0 : max
    for (let id = 0; id < logits.length; id++) logits[id] = (logits[id]! - shift) / temperature
  }
}

/** Keeps the `k` (>= 1) likeliest tokens, and those that are as likely as the last of them. */
export function topK(k: number): LogitsProcessor {
  const scratch = new Scratch()
  return (logits) => {
    if (k >= logits.length) return
    const least = scratch.kthLargest(logits, k)
    for (let id = 0; id < logits.length; id++) if (logits[id]! < least) logits[id] = -Infinity
  }
}

/**
 * Keeps the fewest tokens whose probabilities add up to at least `p` (0 to 1), the likeliest ones; of equally likely
 * ones those of lower ids. At least `keep`.
 */
export function topP(p: number, keep = 1): LogitsProcessor {
  const scratch = new Scratch()
  return (logits) => {
    const max = maxLogit(logits)
    const kept = scratch.kthKept(logits, keep)
    const { values, weights } = scratch.sized(logits.length)
    let sum = 0
    for (let id = 0; id < logits.length; id++) {
      values[id] = logits[id]!
      sum += weights[id] = Math.exp(logits[id]! - max)
    }
    const target = Math.max(p * sum, Number.MIN_VALUE)
    const cutoff = findCutoff(values, weights, logits.length, target)
    const weight = Math.exp(cutoff.value - max)
    let above = cutoff.above
    for (let id = 0; id < logits.length; id++) {
      const logit = logits[id]!
      if (logit > cutoff.value || logit >= kept) continue
      if (logit === cutoff.value && above < target) above += weight
      else logits[id] = -Infinity
    }
  }
}

/** Keeps tokens at least `p` (0 to 1) times as likely as the likeliest. At least `keep`. */
export function minP(p: number, keep = 1): LogitsProcessor {
  const scratch = new Scratch()
  return (logits) => {
    const least = Math.min(maxLogit(logits) + Math.log(p), scratch.kthKept(logits, keep))
    for (let id = 0; id < logits.length; id++) if (logits[id]! < least) logits[id] = -Infinity
  }
}

/**
 * Keeps the fewest tokens that together have at least probability `p` (in (0, 1)), those first whose surprise is
 * nearest to the entropy, and those as near as the last of them. At least `keep`.
 */
export function typicalP(p: number, keep = 1): LogitsProcessor {
  const scratch = new Scratch()
  return (logits) => {
    const { values, weights } = scratch.sized(logits.length)
    const max = maxLogit(logits)
    let sum = 0
    for (let id = 0; id < logits.length; id++) sum += weights[id] = Math.exp(logits[id]! - max)
    const logSum = max + Math.log(sum)
    let entropy = 0
    for (let id = 0; id < logits.length; id++) {
      const probability = (weights[id] = weights[id]! / sum)
      if (probability > 0) entropy += probability * (logSum - logits[id]!)
    }
    const nearness = (logit: number): number => Math.fround(-Math.abs(logSum - logit - entropy))
    for (let id = 0; id < logits.length; id++) values[id] = nearness(logits[id]!)
    const cutoff = findCutoff(values, weights, logits.length, p)
    const least = keep > 1 ? Math.min(cutoff.value, scratch.kthLargest(values, keep)) : cutoff.value
    for (let id = 0; id < logits.length; id++) if (nearness(logits[id]!) < least) logits[id] = -Infinity
  }
}

/** Memory that is used again: values to reorder, and what each weighs. */
class Scratch {
  #values = new Float32Array(0)
  #weights = new Float64Array(0)

  sized(length: number): { values: Float32Array; weights: Float64Array } {
    if (this.#values.length !== length) {
      this.#values = new Float32Array(length)
      this.#weights = new Float64Array(length)
    }
    return { values: this.#values, weights: this.#weights }
  }

  /** The k-th largest of `logits`, or the smallest where there are fewer. */
  kthLargest(logits: Float32Array, k: number): number {
    const { values, weights } = this.sized(logits.length)
    values.set(logits)
    return findCutoff(values, weights.fill(1), logits.length, k).value
  }

  /** The least logit to keep for the sake of keeping `keep` tokens; the largest one is always kept. */
  kthKept(logits: Float32Array, keep: number): number {
    return keep > 1 ? this.kthLargest(logits, keep) : Infinity
  }
}
