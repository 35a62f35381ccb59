import { setImmediate } from 'node:timers/promises'
import { seededRandom } from '../../sampling/random.ts'
import { Arrangement } from './arrangement.ts'
import { bestStart } from './best-start.ts'
import type { Placement } from './placement.ts'

/** Attempts of a search: about 50 ms of work for 20 servers, and 100 ms for 100. */
const ATTEMPTS = 4000

/** Attempts before the event loop gets its turn: about a millisecond. */
const ATTEMPTS_AT_ONCE = 50

/** How many servers one attempt places anew, at most. */
const MAX_LIFTED = 8

/**
 * A good arrangement of these servers that does not depend on where those that can move stand now, so that all servers
 * that know the same swarm find the same one: each is put where it adds most, the large ones first; then everybody
 * improves; then, again and again, a few random servers are taken out and put back in another order, and what is worth
 * more is kept (a large neighbourhood search: Shaw, "Using Constraint Programming and Local Search Methods to Solve
 * Vehicle Routing Problems", 1998). The servers must be in an order that does not depend on their places either.
 */
export async function searchArrangement(numBlocks: number, servers: readonly Placement[]): Promise<Arrangement> {
  const found = new Arrangement(numBlocks, servers)
  const movable = [...servers.keys()].filter((i) => servers[i]!.movable)
  placeInTurn(
    found,
    movable.toSorted((a, b) => weight(servers[b]!) - weight(servers[a]!)),
  )
  await found.improve()
  const random = seededRandom(numBlocks)
  let worth = found.worth.of(found.throughputs)
  let best = { bottleneck: found.bottleneck, starts: found.starts.slice() }
  for (let attempt = 0; attempt < ATTEMPTS && movable.length > 1; attempt++) {
    if (attempt % ATTEMPTS_AT_ONCE === 0) await setImmediate()
    const lifted = pick(movable, Math.min(2 + Math.floor(random() ** 2 * (MAX_LIFTED - 1)), movable.length), random)
    const starts = lifted.map((i) => found.starts[i]!)
    const { length } = servers[lifted[0]!]!
    const firstStart = Math.floor(random() * (numBlocks - length + 1))
    placeAnew(found, lifted, firstStart)
    if (found.bottleneck > best.bottleneck) best = { bottleneck: found.bottleneck, starts: found.starts.slice() }
    const now = found.worth.of(found.throughputs)
    if (now > worth) worth = now
    else for (const [n, i] of lifted.entries()) found.move(i, starts[n]!)
  }
  for (const [i, start] of best.starts.entries()) found.move(i, start)
  return found
}

function weight({ length, throughput }: Placement): number {
  return length * throughput
}

/** Takes these servers out, then puts each where it adds most to those before it. */
function placeInTurn(arrangement: Arrangement, order: readonly number[]): void {
  for (const i of order) arrangement.lift(i)
  for (const i of order) putBest(arrangement, i)
}

/** Takes these servers out; the first goes to `start`, the others where they add most, then the first again. */
function placeAnew(arrangement: Arrangement, [first, ...others]: readonly number[], start: number): void {
  for (const i of [first!, ...others]) arrangement.lift(i)
  arrangement.put(first!, start)
  for (const i of others) putBest(arrangement, i)
  arrangement.lift(first!)
  putBest(arrangement, first!)
}

function putBest(arrangement: Arrangement, i: number): void {
  const { throughputs, servers, worth } = arrangement
  arrangement.put(i, bestStart(throughputs, servers[i]!, worth).start)
}

/** `count` different ones of `from`. */
function pick(from: readonly number[], count: number, random: () => number): number[] {
  const picked = new Set<number>()
  while (picked.size < count) picked.add(from[Math.floor(random() * from.length)]!)
  return [...picked]
}
