import type { Candidates } from './candidates.ts'
import { type ResolvedOptions, isSampling } from './options/options.ts'
import { findCutoff } from './selection.ts'

/** Removes candidates that are not to be drawn, or changes how likely they are. */
export type Warper = (candidates: Candidates) => void

/** Above this magnitude a quotient is close to float32's largest number. */
const FLOAT32_NEAR_MAX = 1e38

/** All that is done to the logits between the processors and a draw. */
export interface Warping {
  /** Passed to `Candidates.fill`, so that tokens that cannot be drawn are never collected. */
  readonly k: number
  readonly temperature: number
  readonly warpers: readonly Warper[]
}

/**
 * The warping that checked options ask for, in transformers' order. It does nothing if nothing is drawn. At least
 * `keep` candidates remain.
 */
export function createWarping(options: ResolvedOptions, keep = 1): Warping {
  if (!isSampling(options)) return { k: 0, temperature: 1, warpers: [] }
  const { temperature: t = 1, topK: k = 0, topP: p = 1, minP: least = 0, typicalP: typical = 1 } = options
  const warpers: Warper[] = []
  const atMost = k > 0 ? Math.max(k, keep) : 0
  if (t !== 1) warpers.push(temperature(t))
  if (atMost > 0) warpers.push(topK(atMost))
  if (p < 1) warpers.push(topP(p, keep))
  if (least > 0) warpers.push(minP(least, keep))
  if (typical < 1) warpers.push(typicalP(typical, keep))
  return { k: atMost, temperature: t, warpers }
}

/** Fills `candidates` from the logits [vocab] and applies the warping to them. Throws as `likeliest` does. */
export function warp(candidates: Candidates, logits: Float32Array, { k, temperature, warpers }: Warping): void {
  candidates.fill(logits, k, temperature)
  for (const apply of warpers) apply(candidates)
}

/**
 * Divides the logits by `temperature` (> 0). If a quotient could overflow, the largest logit is subtracted from all of
 * them first.
 */
export function temperature(temperature: number): Warper {
  return (candidates) => {
    const { logits, count } = candidates
    const max = candidates.max()
    const shift = Math.abs(max) / temperature < FLOAT32_NEAR_MAX ? 0 : max
    for (let i = 0; i < count; i++) logits[i] = (logits[i]! - shift) / temperature
  }
}

/** Keeps the `k` (>= 1) likeliest tokens and those as likely as the k-th. */
export function topK(k: number): Warper {
  return (candidates) => {
    if (k < candidates.count) candidates.keepFrom(candidates.kthLargest(k))
  }
}

/**
 * Keeps the likeliest tokens, as few as have at least probability `p` (0 to 1) together, and at least `keep`; among
 * equally likely ones, lower ids first (Holtzman et al., "The Curious Case of Neural Text Degeneration").
 */
export function topP(p: number, keep = 1): Warper {
  return (candidates) => {
    const { logits, count, values, weights } = candidates
    const max = candidates.max()
    const kept = leastToKeep(candidates, keep)
    let sum = 0
    for (let i = 0; i < count; i++) sum += weights[i] = Math.exp(logits[i]! - max)
    const target = Math.max(p * sum, Number.MIN_VALUE)
    // All tokens that weigh less than this are left out of the search: even together they are not needed to reach
    // `target`. That is most of a vocabulary.
    const negligible = ((1 - p) * sum) / (2 * count)
    let length = 0
    for (let i = 0; i < count; i++) {
      if (weights[i]! < negligible) continue
      values[length] = logits[i]!
      weights[length++] = weights[i]!
    }
    const cutoff = findCutoff(values, weights, length, target)
    const weight = Math.exp(cutoff.value - max)
    let { above } = cutoff
    candidates.keep((i) => {
      const logit = logits[i]!
      if (logit > cutoff.value || logit >= kept) return true
      if (logit !== cutoff.value || above >= target) return false
      above += weight
      return true
    })
  }
}

/**
 * Keeps the tokens at least `p` (0 to 1) times as likely as the likeliest one, and at least `keep` tokens (Nguyen et
 * al., "Turning Up the Heat: Min-p Sampling").
 */
export function minP(p: number, keep = 1): Warper {
  return (candidates) => {
    candidates.keepFrom(Math.min(candidates.max() + Math.log(p), leastToKeep(candidates, keep)))
  }
}

/**
 * Keeps the tokens whose surprise (-log p) is nearest to the distribution's entropy, as few as have at least
 * probability `p` (in (0, 1)) together, those as near as the last of them, and at least `keep` (Meister et al.,
 * "Locally Typical Sampling").
 */
export function typicalP(p: number, keep = 1): Warper {
  return (candidates) => {
    const { logits, count, values, weights } = candidates
    const max = candidates.max()
    let sum = 0
    for (let i = 0; i < count; i++) sum += weights[i] = Math.exp(logits[i]! - max)
    const logSum = max + Math.log(sum)
    let entropy = 0
    for (let i = 0; i < count; i++) {
      const probability = (weights[i] = weights[i]! / sum)
      if (probability > 0) entropy += probability * (logSum - logits[i]!)
    }
    const nearness = (logit: number): number => Math.fround(-Math.abs(logSum - logit - entropy))
    for (let i = 0; i < count; i++) values[i] = nearness(logits[i]!)
    let least = findCutoff(values, weights, count, p).value
    if (keep > 1) least = Math.min(least, findCutoff(values, weights.fill(1, 0, count), count, keep).value)
    candidates.keep((i) => nearness(logits[i]!) >= least)
  }
}

/**
 * The logit from which tokens must stay so that at least `keep` do. Infinity for `keep` = 1, because every warper keeps
 * the likeliest token anyway.
 */
function leastToKeep(candidates: Candidates, keep: number): number {
  return keep > 1 ? candidates.kthLargest(keep) : Infinity
}
