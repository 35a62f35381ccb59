import type { Placement } from './placement.ts'

type Server = Pick<Placement, 'length' | 'throughput'>

/**
 * The throughput of each block of a model: the sum over the servers that hold it, in tokens per second. A text passes
 * all blocks, so the smallest of them, the *bottleneck*, is what the swarm can do.
 */
export class BlockThroughputs {
  readonly #tokensPerSecond: Float64Array
  readonly #numHolders: Int32Array

  constructor(numBlocks: number, placements: Iterable<Placement> = []) {
    this.#tokensPerSecond = new Float64Array(numBlocks)
    this.#numHolders = new Int32Array(numBlocks)
    for (const placement of placements) this.add(placement, placement.start)
  }

  get numBlocks(): number {
    return this.#tokensPerSecond.length
  }

  /** The throughput of a block, in tokens per second. */
  at(block: number): number {
    return this.#tokensPerSecond[block]!
  }

  /** The smallest throughput of a block; 0 if there is a hole. */
  get bottleneck(): number {
    return this.#tokensPerSecond.reduce((least, value) => Math.min(least, value), Infinity)
  }

  /** How many blocks nobody holds. */
  get numHoles(): number {
    return this.#numHolders.reduce((count, holders) => count + (holders === 0 ? 1 : 0), 0)
  }

  /** Whether nobody else holds one of the blocks of a server that stands at `start`. */
  isSoleHolder(server: Server, start: number): boolean {
    return this.#numHolders.subarray(start, start + server.length).includes(1)
  }

  /** Adds a server whose span begins at block `start`. */
  add(server: Server, start: number): void {
    for (let block = start; block < start + server.length; block++) {
      this.#tokensPerSecond[block]! += server.throughput
      this.#numHolders[block]! += 1
    }
  }

  /** Takes out a server whose span begins at block `start`. */
  remove(server: Server, start: number): void {
    for (let block = start; block < start + server.length; block++) {
      this.#numHolders[block]! -= 1
      const left = this.#tokensPerSecond[block]! - server.throughput
      // Exactly 0 for a hole, whatever was lost in rounding.
      this.#tokensPerSecond[block] = this.#numHolders[block] === 0 ? 0 : left
    }
  }
}
