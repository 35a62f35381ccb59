import { bestStart } from './best-start.ts'
import { BlockThroughputs } from './block-throughputs.ts'
import type { Placement } from './placement.ts'
import { Worth } from './worth.ts'

/**
 * The first block of the span that a newcomer should take beside `others`: where it lifts the bottleneck most, and
 * among equals, where it does most for the blocks that come next.
 */
export function startOfNewcomer(
  numBlocks: number,
  others: readonly Placement[],
  newcomer: Pick<Placement, 'length' | 'throughput'>,
): number {
  return bestStart(new BlockThroughputs(numBlocks, others), newcomer, new Worth(numBlocks, [...others, newcomer])).start
}
