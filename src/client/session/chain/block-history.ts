import { arithmeticClass } from '../../remote/routes/arithmetic-class.ts'
import type { RouteSpan } from '../../remote/routes/route-request.ts'
import type { WireChoice } from '../../remote/routes/wire-dtype.ts'

/** How a repair has changed the arithmetic of a block: [block, before, now]. */
export type ArithmeticChange = readonly [block: number, before: string, now: string]

/**
 * What a session's blocks have been computed with. A server that takes over must hold the same weights, and should have
 * the same arithmetic, so that the text goes on as it would have.
 */
export class BlockHistory {
  /** The digest of each block's weights, as far as servers have told it. */
  readonly digests = new Map<number, string>()
  /** The arithmetic class that each block was computed in last. */
  readonly arithmetic = new Map<number, string>()
  readonly #wireDType: WireChoice
  #changes: ArithmeticChange[] = []

  constructor(wireDType: WireChoice) {
    this.#wireDType = wireDType
  }

  /** Notes that a server computes blocks of the session from now on. */
  add({ server, start, end }: RouteSpan): void {
    const now = arithmeticClass(server, this.#wireDType)
    for (let block = start; block < end; block++) {
      const before = this.arithmetic.get(block)
      if (before !== undefined && before !== now) this.#changes.push([block, before, now])
      this.arithmetic.set(block, now)
      const digest = server.blockDigests[block - server.start]
      if (digest !== undefined) this.digests.set(block, digest)
    }
  }

  /** Blocks that were continued in another arithmetic class since this was called last. */
  takeChanges(): readonly ArithmeticChange[] {
    const changes = this.#changes
    this.#changes = []
    return changes
  }
}
