import { setImmediate } from 'node:timers/promises'
import { bestStart } from './best-start.ts'
import { BlockThroughputs } from './block-throughputs.ts'
import type { Placement } from './placement.ts'
import { Worth } from './worth.ts'

/** A move pays if it takes away this share of what is left to gain at the place; below it is rounding. */
const WORTHWHILE = 1 + 1e-4

/** Sweeps until nobody moves any more end by themselves after some ten; this bounds the time of a strange swarm. */
const MAX_SWEEPS = 30

/** Where all servers of a swarm stand or could stand: a place for each, to be tried and changed. */
export class Arrangement {
  readonly servers: readonly Placement[]
  readonly starts: Int32Array
  readonly throughputs: BlockThroughputs
  readonly worth: Worth

  constructor(numBlocks: number, servers: readonly Placement[]) {
    this.servers = servers
    this.starts = Int32Array.from(servers, ({ start }) => start)
    this.throughputs = new BlockThroughputs(numBlocks, servers)
    this.worth = new Worth(numBlocks, servers)
  }

  get bottleneck(): number {
    return this.throughputs.bottleneck
  }

  /** Moves a server's span to begin at block `start`. */
  move(server: number, start: number): void {
    this.lift(server)
    this.put(server, start)
  }

  /** Takes a server out; `put` must follow. */
  lift(server: number): void {
    this.throughputs.remove(this.servers[server]!, this.starts[server]!)
  }

  /** Puts a server that was taken out at block `start`. */
  put(server: number, start: number): void {
    this.throughputs.add(this.servers[server]!, start)
    this.starts[server] = start
  }

  /** The best place of a server among the others as they stand, and whether it is worth leaving its own for. */
  bestMove(server: number): { start: number; pays: boolean } {
    const own = this.starts[server]!
    this.lift(server)
    const { start, gain, gainThere } = bestStart(this.throughputs, this.servers[server]!, this.worth, own)
    this.put(server, own)
    return { start, pays: start !== own && gain > gainThere * WORTHWHILE }
  }

  /**
   * Lets every movable server take its best place, in turn, until nobody gains by it. The event loop gets its turn
   * after each sweep, which takes some milliseconds in a swarm of a thousand.
   */
  async improve(): Promise<void> {
    for (let sweep = 0; sweep < MAX_SWEEPS; sweep++) {
      await setImmediate()
      let moved = false
      for (const [i, { movable }] of this.servers.entries()) {
        const { start, pays } = movable ? this.bestMove(i) : { start: 0, pays: false }
        if (!pays) continue
        this.move(i, start)
        moved = true
      }
      if (!moved) return
    }
  }
}
