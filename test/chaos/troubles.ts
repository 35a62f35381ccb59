import { setTimeout as sleep } from 'node:timers/promises'
import { seededRandom } from '../../src/sampling/random.ts'
import { LIES, type Lie } from './liar.ts'
import type { HurtServer, LyingServer } from './server.ts'

/** What is done to a server. */
export const TROUBLES = ['killed', 'drained', 'stopped', 'slowed', 'cut off', 'lying'] as const
export type Trouble = (typeof TROUBLES)[number]

/** One decision: what happens to which server, how long, how, and when after the one before. */
export interface Decision {
  readonly trouble: Trouble
  /** The index of the server, or of the liar. */
  readonly victim: number
  readonly lie: Lie
  readonly pauseMs: number
  readonly lengthMs: number
}

/** How many there are that can suffer. */
interface Counts {
  readonly servers: number
  /** Those of them, the first ones, that may be killed and drained. */
  readonly mortal: number
  readonly liars: number
}

/** Decisions without an end, the same for the same seed. Every trouble comes once before any comes again. */
export function* decisions(seed: number, { servers, mortal, liars }: Counts): Generator<Decision> {
  const random = seededRandom(seed)
  const below = (n: number): number => Math.floor(random() * n)
  for (const left: Trouble[] = []; ;) {
    if (left.length === 0) left.push(...TROUBLES)
    const trouble = left.splice(below(left.length), 1)[0]!
    const isDeadly = trouble === 'killed' || trouble === 'drained'
    yield {
      trouble,
      victim: below(trouble === 'lying' ? liars : isDeadly ? mortal : servers),
      lie: LIES[below(LIES.length)]!,
      pauseMs: 500 + below(2500),
      lengthMs: 1000 + below(7000),
    }
  }
}

/** The servers of a chaos. */
export interface Sufferers {
  readonly servers: readonly HurtServer[]
  readonly liars: readonly LyingServer[]
  readonly numBlocks: number
}

/**
 * Carries decisions out until it is enough, and until every trouble has come; resolves when all servers are well
 * again. Waits with each until the servers that are well hold every block without its victim. Returns how often each
 * trouble came.
 */
export async function makeTrouble(
  { servers, liars, numBlocks }: Sufferers,
  plan: Iterable<Decision>,
  isEnough: () => boolean,
  tell: (line: string) => void,
): Promise<Map<Trouble, number>> {
  const hurt = new Map<HurtServer | LyingServer, Promise<void>>()
  const failures: unknown[] = []
  const counts = new Map<Trouble, number>()
  const holdAll = (without: HurtServer | LyingServer): boolean => {
    const well = servers.filter((server) => server !== without && !hurt.has(server))
    return Array.from({ length: numBlocks }, (_, block) => block).every((block) =>
      well.some(({ span: [start, end] }) => start <= block && block < end),
    )
  }
  for (const decision of plan) {
    const { trouble, victim, lie, pauseMs, lengthMs } = decision
    await sleep(pauseMs)
    if (failures.length > 0) break
    const server = (trouble === 'lying' ? liars : servers)[victim]!
    while (hurt.has(server) || !holdAll(server)) await Promise.race(hurt.values())
    if (counts.size === TROUBLES.length && isEnough()) break
    counts.set(trouble, (counts.get(trouble) ?? 0) + 1)
    tell(`${server.name}: ${trouble}${trouble === 'lying' ? ` (${lie})` : ''} for ${(lengthMs / 1000).toFixed(1)} s`)
    const over = server.suffer(decision).catch((error: unknown) => void failures.push(error))
    hurt.set(
      server,
      over.then(() => void hurt.delete(server)),
    )
  }
  await Promise.all(hurt.values())
  if (failures.length > 0) throw failures[0]
  return counts
}
