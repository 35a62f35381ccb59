import type { BlockThroughputs } from './block-throughputs.ts'
import type { Placement } from './placement.ts'
import type { Worth } from './worth.ts'

/** A place that is better by less than this share of its gain is as good: the first of such places is taken. */
const TIE = 1e-9

/**
 * Where a server adds most to the worth of a swarm, of which `throughputs` are without it: the first block of its span
 * and what it adds there. `gainThere` is what it adds at `compare`, the first block of another place.
 */
export function bestStart(
  throughputs: BlockThroughputs,
  { length, throughput }: Pick<Placement, 'length' | 'throughput'>,
  worth: Worth,
  compare = 0,
): { start: number; gain: number; gainThere: number } {
  const gains = new Float64Array(throughputs.numBlocks)
  for (let block = 0; block < gains.length; block++) {
    const before = throughputs.at(block)
    gains[block] = worth.ofBlock(before + throughput) - worth.ofBlock(before)
  }
  let gain = 0
  for (let block = 0; block < length; block++) gain += gains[block]!
  let best = { start: 0, gain }
  let gainThere = gain
  for (let start = 1; start + length <= gains.length; start++) {
    gain += gains[start + length - 1]! - gains[start - 1]!
    if (gain > best.gain * (1 + TIE)) best = { start, gain }
    if (start === compare) gainThere = gain
  }
  return { ...best, gainThere }
}
