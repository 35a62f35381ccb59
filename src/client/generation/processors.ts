import { findCutoff } from './cutoff.ts'
import { expSum, maxLogit } from './logits.ts'

/** Changes the logits [vocab] of the next token in place; `ids` are the tokens so far. -Infinity takes a token out. */
export type LogitsProcessor = (logits: Float32Array, ids: readonly number[]) => void

/** Divides the logits by `temperature` (> 0); they are shifted so that the largest is 0, or a low one would overflow. */
export function temperature(temperature: number): LogitsProcessor {
  return (logits) => {
    const max = maxLogit(logits)
    for (let id = 0; id < logits.length; id++) logits[id] = (logits[id]! - max) / temperature
  }
}

/** Keeps the `k` (>= 1) likeliest tokens, and those that are as likely as the last of them. */
export function topK(k: number): LogitsProcessor {
  const scratch = new Scratch()
  return (logits) => {
    if (k >= logits.length) return
    const { value } = findCutoff(scratch.copy(logits), logits.length, k, () => 1)
    for (let id = 0; id < logits.length; id++) if (logits[id]! < value) logits[id] = -Infinity
  }
}

/**
 * Keeps the fewest tokens whose probabilities add up to at least `p` (in (0, 1]), the likeliest ones; of equally likely
 * ones those of lower ids. At least one.
 */
export function topP(p: number): LogitsProcessor {
  const scratch = new Scratch()
  return (logits) => {
    const max = maxLogit(logits)
    const target = p * expSum(logits, max)
    const weigh = (logit: number): number => Math.exp(logit - max)
    const cutoff = findCutoff(scratch.copy(logits), logits.length, target, weigh)
    const weight = weigh(cutoff.value)
    let kept = cutoff.above
    for (let id = 0; id < logits.length; id++) {
      const logit = logits[id]!
      if (logit > cutoff.value) continue
      if (logit === cutoff.value && kept < target) kept += weight
      else logits[id] = -Infinity
    }
  }
}

/** A copy to reorder, in memory that is used again. */
class Scratch {
  #values = new Float32Array(0)

  copy(logits: Float32Array): Float32Array {
    if (this.#values.length !== logits.length) this.#values = new Float32Array(logits.length)
    this.#values.set(logits)
    return this.#values
  }
}
