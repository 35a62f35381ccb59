import type { Candidates } from './candidates.ts'

/** A token behind one of the beams. */
export interface Candidate {
  readonly beam: number
  readonly tokenId: number
  /** Sum of the log-probabilities of the whole answer. */
  readonly total: number
}

/**
 * Finds the best continuations of all beams, best first; among equals those of earlier beams, then of lower ids first.
 * With `random`, uniform numbers in [0, 1), they are drawn without replacement from the distribution over all
 * continuations, in the order of the draws.
 */
export class TopCandidates {
  readonly #count: number
  readonly #random: (() => number) | undefined
  readonly #best: (Candidate & { readonly key: number })[] = []

  /** For `count` of them. */
  constructor(count: number, random?: () => number) {
    this.#count = count
    this.#random = random
  }

  /** Takes the continuations of one beam, whose own log-probability is `before`; their logits are log-probabilities. */
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

  /** What was found. */
  best(): Candidate[] {
    return this.#best.map(({ beam, tokenId, total }) => ({ beam, tokenId, total }))
  }
}

/**
 * The largest of log-probabilities, each plus such a number, is a draw from them; the next largest a draw from the
 * others.
 */
function gumbel(uniform: number): number {
  return -Math.log(-Math.log(uniform || Number.MIN_VALUE))
}
