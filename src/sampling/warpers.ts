import type { Candidates } from './candidates.ts'
import { type ResolvedOptions, isSampling } from './options/options.ts'
import { findCutoff } from './selection.ts'

/** Takes tokens out that are not to be drawn, or makes them more or less likely. */
export type Warper = (candidates: Candidates) => void

/** Beyond this a divided logit is near the end of float32. */
const FLOAT32_NEAR_MAX = 1e38

/** What is done to a vocabulary before a token is drawn from what is left of it. */
export interface Warping {
  /** As `Candidates.fill` takes them: what need not be looked at. */
  readonly k: number
  readonly temperature: number
  readonly warpers: readonly Warper[]
}

/**
 * What checked options do before a draw, in transformers' order: nothing where none is drawn. At least `keep` are left.
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

/** Fills the candidates with what the warping leaves of the logits [vocab]. Throws as `likeliest`. */
export function warp(candidates: Candidates, logits: Float32Array, { k, temperature, warpers }: Warping): void {
  candidates.fill(logits, k, temperature)
  for (const apply of warpers) apply(candidates)
}

/**
 * Divides the logits by `temperature` (> 0). Where that would overflow they are shifted first, so that the largest is
 * 0.
 */
export function temperature(temperature: number): Warper {
  return (candidates) => {
    const { logits, count } = candidates
    const max = candidates.max()
    const shift = Math.abs(max) / temperature < FLOAT32_NEAR_MAX ? 0 : max
    for (let i = 0; i < count; i++) logits[i] = (logits[i]! - shift) / temperature
  }
}

/** Keeps the `k` (>= 1) likeliest tokens, and those that are as likely as the last of them. */
export function topK(k: number): Warper {
  return (candidates) => {
    if (k < candidates.count) candidates.keepFrom(candidates.kthLargest(k))
  }
}

/**
 * Keeps the fewest tokens whose probabilities add up to at least `p` (0 to 1), the likeliest ones; of equally likely
 * ones those of lower ids. At least `keep`.
 */
export function topP(p: number, keep = 1): Warper {
  return (candidates) => {
    const { logits, count, values, weights } = candidates
    const max = candidates.max()
    const kept = leastToKeep(candidates, keep)
    let sum = 0
    for (let i = 0; i < count; i++) sum += weights[i] = Math.exp(logits[i]! - max)
    const target = Math.max(p * sum, Number.MIN_VALUE)
    // All that weigh less than this weigh too little together to be needed: most of a vocabulary.
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

/** Keeps tokens at least `p` (0 to 1) times as likely as the likeliest. At least `keep`. */
export function minP(p: number, keep = 1): Warper {
  return (candidates) => {
    candidates.keepFrom(Math.min(candidates.max() + Math.log(p), leastToKeep(candidates, keep)))
  }
}

/**
 * Keeps the fewest tokens that together have at least probability `p` (in (0, 1)), those first whose surprise is
 * nearest to the entropy, and those as near as the last of them. At least `keep`.
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

/** The least logit to keep for the sake of keeping `keep` tokens; the largest one is always kept. */
function leastToKeep(candidates: Candidates, keep: number): number {
  return keep > 1 ? candidates.kthLargest(keep) : Infinity
}
