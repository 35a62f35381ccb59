/** A token behind one of the beams. */
export interface Candidate {
  readonly beam: number
  readonly tokenId: number
  /** Sum of the log-probabilities of the whole answer. */
  readonly total: number
}

/**
 * The `count` best continuations of all beams, best first; among equals those of earlier beams, then of lower ids
 * first. `logProbs[i]` [vocab] are of the tokens behind beam i, whose own is `totals[i]`. With `random`, uniform
 * numbers in [0, 1), they are drawn without replacement from the distribution over all continuations, in the order of
 * the draws.
 */
export function topCandidates(
  logProbs: readonly Float32Array[],
  totals: readonly number[],
  count: number,
  random?: () => number,
): Candidate[] {
  const best: (Candidate & { key: number })[] = []
  let least = -Infinity
  for (const [beam, row] of logProbs.entries()) {
    const before = totals[beam]!
    for (let tokenId = 0; tokenId < row.length; tokenId++) {
      const total = before + row[tokenId]!
      if (total === -Infinity) continue
      const key = random === undefined ? total : total + gumbel(random())
      if (best.length === count && key <= least) continue
      let place = best.length
      while (place > 0 && best[place - 1]!.key < key) place--
      best.splice(place, 0, { beam, tokenId, total, key })
      if (best.length > count) best.pop()
      least = best.at(-1)!.key
    }
  }
  return best.map(({ beam, tokenId, total }) => ({ beam, tokenId, total }))
}

/**
 * The largest of log-probabilities, each plus such a number, is a draw from them; the next largest a draw from the
 * others.
 */
function gumbel(uniform: number): number {
  return -Math.log(-Math.log(uniform || Number.MIN_VALUE))
}
