import { startOfNewcomer } from './newcomer.ts'
import type { MovePlanner } from './next-move.ts'
import { type Placement, medianThroughput } from './placement.ts'

/** Time as a balancer knows it: the real one, or that of a simulation. */
export interface Clock {
  /** Resolves after `ms`: true, or false at once when the signal is aborted. */
  pause(ms: number, signal?: AbortSignal): Promise<boolean>
}

/** A server and its swarm, as far as choosing blocks goes. */
export interface BalancedServer {
  readonly peerId: string
  readonly numBlocks: number
  /**
   * Where all servers stand, or will stand once they have loaded, this one included. Of two servers that both say
   * that they are about to move, `afterIntent` lets the one with the smaller peer id overlook the other.
   */
  placements(afterIntent: boolean): Promise<readonly Placement[]>
  /** Tells the swarm that this server is about to move to `start`; undefined: that it stays after all. */
  intend(start: number | undefined): Promise<void>
  /** Drains, loads the span from `start` on and serves it. */
  move(start: number): Promise<void>
}

/** How a server takes part in balancing. */
export interface BalanceModules {
  readonly planner: MovePlanner
  /** The mean time between two checks; each waits between 0 and twice as long. */
  readonly periodMs: number
  readonly clock: Clock
  /** Uniform in [0, 1). */
  readonly random: () => number
  readonly onError: (error: unknown) => void
}

/** How long it takes at most, among reachable peers, until all have heard of an intent. */
const HEARD_MS = 2000

/**
 * The first block for a newcomer: chosen, told to the swarm by `intend`, and chosen again once others had the time to
 * tell theirs. A throughput that is not known yet counts as the others' median. Rejects with what `placements` or
 * `intend` throws.
 */
export async function chooseStart(
  server: Pick<BalancedServer, 'peerId' | 'numBlocks' | 'placements' | 'intend'>,
  { length, throughput }: { readonly length: number; readonly throughput: number | undefined },
  clock: Clock,
): Promise<number> {
  const choose = async (afterIntent: boolean) => {
    const others = (await server.placements(afterIntent)).filter(({ peerId }) => peerId !== server.peerId)
    const own = throughput ?? medianThroughput(others)
    return startOfNewcomer(server.numBlocks, others, { length, throughput: own })
  }
  await server.intend(await choose(false))
  await clock.pause(HEARD_MS)
  return await choose(true)
}

/**
 * Checks from time to time, until the signal is aborted, whether the server should move, and moves it. Waits are
 * random, so that servers do not decide at the same time; those who do all the same hear of each other before they
 * move. A failed check is for `onError`, and the next one follows.
 */
export async function keepBalanced(
  server: BalancedServer,
  { planner, periodMs, clock, random, onError }: BalanceModules,
  signal: AbortSignal,
): Promise<void> {
  const next = async (afterIntent: boolean) => planner.nextMove(await server.placements(afterIntent), server.peerId)
  while (await clock.pause(2 * periodMs * random(), signal)) {
    try {
      const start = await next(false)
      if (start === undefined) continue
      await server.intend(start)
      if (!(await clock.pause(HEARD_MS, signal))) return
      const confirmed = await next(true)
      if (confirmed !== start) await server.intend(confirmed)
      if (confirmed !== undefined) await server.move(confirmed)
    } catch (error) {
      if (signal.aborted) return
      onError(error)
      await server.intend(undefined)
    }
  }
}
