import { errorMessage } from '../../base/errors.ts'
import type { Discovery } from '../../swarm/records/discovery.ts'
import type { Directory } from '../../swarm/records/directory.ts'
import type { ServerRecord } from '../../swarm/records/record-fields.ts'
import type { SwarmLogger, SwarmNode } from '../../swarm/node/node.ts'
import type { Announcer } from '../announce/announcer.ts'
import { type BalancedServer, chooseStart, keepBalanced } from '../placement/balancer.ts'
import { MovePlanner } from '../placement/next-move.ts'
import { intendedPlacements } from '../placement/records.ts'
import { realTime } from '../placement/real-time.ts'

export interface PlacedServerModules {
  readonly node: SwarmNode
  readonly discovery: Discovery
  readonly announcer: Announcer
  readonly logger: SwarmLogger
  /** Blocks of the model. */
  readonly numBlocks: number
}

/** How a server takes other blocks where the swarm needs them. */
export interface Balance {
  /** It moves if the swarm's throughput is below this share of what could be reached, from 0 to 1. */
  readonly quality: number
  /** The mean time between two checks. */
  readonly periodMs: number
}

/** This server as one of those that share out a model's blocks, by records. */
export class PlacedServer {
  readonly #modules: PlacedServerModules

  constructor(modules: PlacedServerModules) {
    this.#modules = modules
  }

  /**
   * Chooses the blocks that the swarm needs most, as many as the announced span has. `throughput` is what is known of
   * the server's own, in tokens per second.
   */
  async choose(throughput: number | undefined): Promise<void> {
    const { node, announcer, logger } = this.#modules
    // The first server of a swarm has nobody to ask.
    if (node.bootstrapPeers.length === 0) return
    const length = announcer.end - announcer.start
    const start = await chooseStart(this.#asBalanced(), { length, throughput }, realTime)
    announcer.hold(start, start + length)
    logger.info({ blocks: `${start}:${start + length}` }, 'chose the blocks that the swarm needs most')
  }

  /** Keeps the server where the swarm needs it, by `move`, until the signal is aborted. */
  keepBalanced({ quality, periodMs }: Balance, move: (start: number) => Promise<void>, signal: AbortSignal): void {
    const { numBlocks, logger } = this.#modules
    const onError = (error: unknown) =>
      logger.warn({ reason: errorMessage(error) }, 'the blocks that are held could not be balanced')
    const planner = new MovePlanner(numBlocks, quality)
    const modules = { planner, periodMs, clock: realTime, random: Math.random, onError }
    void keepBalanced({ ...this.#asBalanced(), move }, modules, signal)
  }

  #asBalanced(): Omit<BalancedServer, 'move'> {
    const { node, discovery, announcer, numBlocks } = this.#modules
    return {
      peerId: node.peerId,
      numBlocks,
      async placements(afterIntent) {
        await discovery.refresh()
        return intendedPlacements(presentRecords(discovery.directory), node.peerId, afterIntent)
      },
      async intend(start) {
        // While it joins it holds no other blocks yet: its record names those that it is about to load.
        if (start !== undefined && announcer.state === 'JOINING')
          announcer.hold(start, start + announcer.end - announcer.start)
        await announcer.intend(start)
      },
    }
  }
}

/**
 * The records of servers that are there: without those whose connection was lost since, unless it is all others, which
 * says more about this machine's network than about them.
 */
function presentRecords(directory: Directory): ServerRecord[] {
  const records = directory.records()
  const present = records.filter(({ peerId }) => !directory.isGone(peerId))
  return present.length > 1 || records.length <= 2 ? present : records
}
