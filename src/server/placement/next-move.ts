import { Arrangement } from './arrangement.ts'
import type { Placement } from './placement.ts'
import { searchArrangement } from './search.ts'

/** An arrangement that is worse by less than this is as good as another one that takes more moves. */
const AS_GOOD = 0.98

/**
 * Below this share of what could be reached, a server may leave a hole while it loads, if nobody can move without one:
 * a swarm that waits a minute and is twice as fast from then on.
 */
const WORTH_A_HOLE = 0.5

/**
 * Decides who moves where, for the good of the swarm. All servers decide by these rules, each from what it knows:
 *
 * - A server moves to where it adds most if fewer blocks are without a holder then.
 * - Else nobody moves unless the bottleneck is below `balanceQuality` times what could be reached. If that follows from
 *   some servers moving to where each gains most, they move; if not, all move to the places of one arrangement that
 *   everybody finds by the same search, each that has to.
 * - A server that alone holds a block stays, since others could not go on while it loads: except in a swarm that has a
 *   hole already, or that is at less than half of what could be reached and where all that have to move are such
 *   servers.
 */
export class MovePlanner {
  readonly #numBlocks: number
  readonly #balanceQuality: number
  /** What was found last for the same servers in the same places, and for the same servers wherever they are. */
  readonly #betterOf = new LastOnly<Better | undefined>()
  readonly #searchOf = new LastOnly<Int32Array>()

  /** `balanceQuality` is between 0 (nobody moves but into holes) and 1. */
  constructor(numBlocks: number, balanceQuality: number) {
    this.#numBlocks = numBlocks
    this.#balanceQuality = balanceQuality
  }

  /**
   * The first block of the span that server `peerId` should move to now; undefined if it should stay. `placements` are
   * those of all servers, this one included.
   */
  async nextMove(placements: readonly Placement[], peerId: string): Promise<number | undefined> {
    const servers = placements.toSorted((a, b) => (a.peerId < b.peerId ? -1 : 1))
    const me = servers.findIndex((server) => server.peerId === peerId)
    if (me < 0 || !servers[me]!.movable) return undefined
    const now = new Arrangement(this.#numBlocks, servers)
    const own = servers[me]!.start
    const { start, pays } = now.bestMove(me)
    if (pays && holesAfter(now, me, start) < now.throughputs.numHoles) return start
    const better = await this.#betterOf.get(keyOf(servers, true), () => this.#better(now, servers))
    if (better === undefined || better.starts[me] === own || !mayLeave(now, better, me)) return undefined
    if (better.byOwnGain) return pays ? start : undefined
    return better.starts[me]
  }

  /** Where servers would stand in an arrangement that is worth moving for; undefined if there is none. */
  async #better(now: Arrangement, servers: readonly Placement[]): Promise<Better | undefined> {
    const { bottleneck } = now
    // No bottleneck is above the even share, so what is near it cannot be improved: the usual case, told apart cheaply.
    const { fair } = now.worth
    if (bottleneck >= this.#balanceQuality * fair) return undefined
    const improved = new Arrangement(this.#numBlocks, servers)
    await improved.improve()
    const searched = improved.bottleneck < this.#balanceQuality * fair ? await this.#search(servers) : improved
    const best = Math.max(improved.bottleneck, searched.bottleneck)
    if (bottleneck >= this.#balanceQuality * best) return undefined
    const gain = best / bottleneck
    if (improved.bottleneck >= this.#balanceQuality * best) return { starts: improved.starts, byOwnGain: true, gain }
    stayWherePossible(searched)
    return { starts: searched.starts, byOwnGain: false, gain }
  }

  /** The arrangement that everybody finds. It follows from who is there, not from where they are. */
  async #search(servers: readonly Placement[]): Promise<Arrangement> {
    const starts = await this.#searchOf.get(
      keyOf(servers, false),
      async () => (await searchArrangement(this.#numBlocks, servers)).starts,
    )
    const found = new Arrangement(this.#numBlocks, servers)
    for (const [server, start] of starts.entries()) found.move(server, start)
    return found
  }
}

interface Better {
  readonly starts: Int32Array
  /** Whether it follows from servers moving to where each gains most; else each has its place in it. */
  readonly byOwnGain: boolean
  /** Its bottleneck over that of now; infinite if there is a hole. */
  readonly gain: number
}

/** The last result of a long computation, kept for when the same is asked again, as it is in a swarm at rest. */
class LastOnly<T> {
  #last: { readonly key: string; readonly result: T } | undefined

  async get(key: string, compute: () => Promise<T>): Promise<T> {
    if (this.#last?.key !== key) this.#last = { key, result: await compute() }
    return this.#last.result
  }
}

/** These servers as a text: with the places of all, or only of those that stay where they are anyway. */
function keyOf(servers: readonly Placement[], withPlaces: boolean): string {
  return servers
    .map(({ peerId, start, length, throughput, movable }) =>
      [peerId, length, throughput, withPlaces || !movable ? start : ''].join(' '),
    )
    .join()
}

/** Whether a server may leave its place on the way to a better arrangement, whoever needs it there until then. */
function mayLeave({ throughputs, servers }: Arrangement, { starts, gain }: Better, me: number): boolean {
  const isSole = (server: number) => throughputs.isSoleHolder(servers[server]!, servers[server]!.start)
  if (throughputs.numHoles > 0 || !isSole(me)) return true
  const movers = [...servers.keys()].filter((server) => starts[server] !== servers[server]!.start)
  return gain > 1 / WORTH_A_HOLE && movers[0] === me && movers.every(isSole)
}

/** How many blocks would be without a holder if a server stood at `start`. */
function holesAfter(arrangement: Arrangement, server: number, start: number): number {
  const own = arrangement.starts[server]!
  arrangement.move(server, start)
  const { numHoles } = arrangement.throughputs
  arrangement.move(server, own)
  return numHoles
}

/** Leaves those servers where they are that need not move for a bottleneck that is as good. */
function stayWherePossible(arrangement: Arrangement): void {
  const enough = AS_GOOD * arrangement.bottleneck
  for (const [server, { start }] of arrangement.servers.entries()) {
    const found = arrangement.starts[server]!
    if (found === start) continue
    arrangement.move(server, start)
    if (arrangement.bottleneck < enough) arrangement.move(server, found)
  }
}
