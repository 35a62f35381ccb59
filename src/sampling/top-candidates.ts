import type { Candidates } from './candidates.ts'

/** A beam continued by one token. */
export interface Candidate {
  readonly beam: number
  readonly tokenId: number
  /** Sum of the answer's log-probabilities, this token's included. */
  readonly total: number
}

/**
 * Collects the best continuations over all beams, best first; among equals, earlier beams come first, then lower ids.
 * With `random` (uniform numbers in [0, 1)) they are not the best but drawn, without replacement, from the distribution
 * over all continuations, in the order of the draws.
 */
export class TopCandidates {
  readonly #count: number
  readonly #random: (() => number) | undefined
  readonly #best: (Candidate & { readonly key: number })[] = []

  /** Collects up to `count` continuations. */
  constructor(count: number, random?: () => number) {
    this.#count = count
    this.#random = random
  }

  /**
   * Adds the continuations of one beam. `before` is the beam's own log-probability; the candidates' logits must be
   * log-probabilities.
   */
  add(beam: number, before: number, { ids, logits, count }: Candidates): void {
    const best = this.#best
    let least = best.length === this.#count ? best.at(-1)!.key : -Infinity
    for (let i = 0; i < count; i++) {
      const total = before + logits[i]!
      if (total === -Infinity) continue
      const key = this.#random === undefined ? total : total + gumbel(this.#random())
      if (best.length === this.#count && key <= least) continue
      let place = best.length
      while (place > 0 && best[place - 1]!.key < key) place--
      best.splice(place, 0, { beam, tokenId: ids[i]!, total, key })
      if (best.length > this.#count) best.pop()
      least = best.at(-1)!.key
    }
  }

  /** The continuations collected so far. */
  best(): Candidate[] {
    return this.#best.map(({ beam, tokenId, total }) => ({ beam, tokenId, total }))
  }
}

/**
 * A Gumbel-distributed number. Adding one to each log-probability makes the order of the sums an order of draws without
 * replacement (Kool et al., "Stochastic Beams and Where to Find Them").
 */
function gumbel(uniform: number): number {
  return -Math.log(-Math.log(uniform || Number.MIN_VALUE))
}
