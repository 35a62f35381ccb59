import type { BlockThroughputs } from './block-throughputs.ts'
import type { Placement } from './placement.ts'

/** What is added to a throughput before its power is taken, so that the worth of a hole is finite. */
const HOLE = 0.05

/**
 * What an arrangement of servers is worth: the sum over the blocks of `-(throughput / fair + 0.05) ** -8`. The high
 * power makes it nearly the bottleneck alone, and counts holes before all else; but unlike the bottleneck it also sees
 * a move that lifts one of two equal bottlenecks, without which neither would ever be lifted. Since each move raises
 * the same sum, moves come to an end.
 *
 * `fair` is the throughput of every block if all servers could be spread evenly: the most that a bottleneck can be.
 */
export class Worth {
  readonly fair: number

  constructor(numBlocks: number, placements: Iterable<Pick<Placement, 'length' | 'throughput'>>) {
    let total = 0
    for (const { length, throughput } of placements) total += length * throughput
    this.fair = total / numBlocks
  }

  ofBlock(throughput: number): number {
    const square = (throughput / this.fair + HOLE) ** 2
    const fourth = square * square
    return -1 / (fourth * fourth)
  }

  of(throughputs: BlockThroughputs): number {
    let sum = 0
    for (let block = 0; block < throughputs.numBlocks; block++) sum += this.ofBlock(throughputs.at(block))
    return sum
  }
}
