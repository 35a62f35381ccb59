import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ChildNode } from '../../src/cli/process/child-node.ts'
import { Cleanup } from '../../src/cli/process/cleanup.ts'
import type { Span } from '../../src/base/span.ts'
import { readMetric } from '../../bench/metrics.ts'
import { eventually } from '../eventually.ts'
import { Clients, type Outcome } from './clients.ts'
import { HurtServer, LyingServer } from './server.ts'
import { type Trouble, decisions, makeTrouble } from './troubles.ts'

const NUM_BLOCKS = 8
const NUM_CLIENTS = 4

/** Every block two times or more. The last two are never ended: what they hold in the end can be compared. */
const SPANS: readonly Span[] = [
  [0, 3],
  [3, 8],
  [0, 5],
  [2, 6],
  [0, 4],
  [4, 8],
]
const NUM_MORTAL = 4

/** One lies to the next servers, and one to clients. */
const LIARS: readonly Span[] = [
  [0, 4],
  [4, 8],
]

/** How much trouble to make, and by which decisions. */
export interface ChaosOptions {
  readonly seed: number
  /** Trouble goes on for so long, and until so many texts were written and so many recoveries seen. */
  readonly atLeast: { readonly seconds: number; readonly texts: number; readonly recoveries: number }
  readonly tell?: (line: string) => void
}

/** What a server holds. */
interface Holding {
  readonly name: string
  readonly residentBytes: number
  readonly openFiles: number
}

export interface ChaosReport {
  readonly outcome: Outcome
  readonly troubles: ReadonlyMap<Trouble, number>
  readonly numLies: number
  /** Servers that lived all the time, before and after. */
  readonly before: readonly Holding[]
  readonly after: readonly Holding[]
  /** Gauges that have not come back to what they were at the start, of all servers. */
  readonly kept: readonly string[]
}

/**
 * Six servers, each a process, two that lie, four clients, and trouble for some time; then rest. Everything is
 * stopped when it resolves or rejects.
 */
export async function runChaos({ seed, atLeast, tell = () => undefined }: ChaosOptions): Promise<ChaosReport> {
  const { seconds, texts, recoveries } = atLeast
  const cleanup = new Cleanup()
  try {
    const folder = await mkdtemp(join(tmpdir(), 'petals-chaos-'))
    cleanup.add(() => rm(folder, { recursive: true }))
    const node = new ChildNode('bootstrap', ['bootstrap', '--listen', '/ip4/127.0.0.1/tcp/0'])
    cleanup.add(() => node.stop())
    const bootstrap = (await node.ready()).multiaddrs[0]!
    const starting = SPANS.map((span, i) =>
      HurtServer.start(`${'ABCDEF'[i]} ${span.join(':')}`, span, bootstrap, folder),
    )
    cleanup.add(async () => {
      for (const server of await Promise.allSettled(starting))
        if (server.status === 'fulfilled') await server.value.stop()
    })
    const servers = await Promise.all(starting)
    const liars: LyingServer[] = []
    for (const [i, span] of LIARS.entries()) {
      const liar = await LyingServer.start(`liar ${i} ${span.join(':')}`, span, bootstrap)
      cleanup.add(() => liar.stop())
      liars.push(liar)
    }
    const clients = await Clients.start(NUM_CLIENTS, bootstrap, ({ seconds, replayedTokens, reason }) =>
      tell(`recovered in ${seconds.toFixed(1)} s, ${replayedTokens} tokens replayed: ${reason}`),
    )
    cleanup.add(() => clients.close())
    await clients.rehearse()
    // All texts at once, so that servers have been as busy as they will be.
    await clients.write(performance.now() + 2000)
    const enduring = servers.slice(NUM_MORTAL)
    const before = await Promise.all(enduring.map(holdingOf))
    tell(`seed ${seed}: trouble for ${seconds} s`)
    const until = performance.now() + seconds * 1000
    const isEnough = (): boolean =>
      performance.now() > until &&
      clients.outcome.generations >= texts &&
      clients.outcome.recoveries.length >= recoveries
    const plan = decisions(seed, { servers: servers.length, mortal: NUM_MORTAL, liars: liars.length })
    const [troubles] = await Promise.all([
      makeTrouble({ servers, liars, numBlocks: NUM_BLOCKS }, plan, isEnough, tell).finally(() => clients.finish()),
      clients.write(Infinity),
    ])
    await clients.close()
    const kept = await leftovers(servers)
    const after = await Promise.all(enduring.map(holdingOf))
    const numLies = liars.reduce((sum, liar) => sum + liar.numLies, 0)
    return { outcome: clients.outcome, troubles, numLies, before, after, kept }
  } finally {
    await cleanup.run()
  }
}

async function holdingOf({ name, metricsPort }: HurtServer): Promise<Holding> {
  const residentBytes = await readMetric(metricsPort, 'process_resident_memory_bytes')
  return { name, residentBytes, openFiles: await readMetric(metricsPort, 'process_open_fds') }
}

/** What a server without clients has none of. */
const NONE = [
  ['petals_sessions', ''],
  ['petals_server_sessions', ''],
  ['petals_server_kept_output_bytes', ''],
  ['petals_swarm_served_streams', 'inference'],
  ['petals_swarm_served_streams', 'control'],
  ['petals_swarm_served_streams', 'push'],
] as const

/** What servers still hold, though no client is left, after a generous time. */
async function leftovers(servers: readonly HurtServer[]): Promise<string[]> {
  let left: string[] = []
  const read = async (): Promise<boolean> => {
    left = (await Promise.all(servers.map(leftoversOf))).flat()
    return left.length === 0
  }
  await eventually(read, 20_000).catch(() => undefined)
  return left
}

async function leftoversOf({ name, metricsPort }: HurtServer): Promise<string[]> {
  const gauges = await Promise.all(
    NONE.map(async ([metric, label]) => [`${metric} ${label}`, await readMetric(metricsPort, metric, label)] as const),
  )
  const [size, free] = await Promise.all(
    ['petals_cache_tokens', 'petals_cache_tokens_left'].map((metric) => readMetric(metricsPort, metric)),
  )
  const { state, sessions } = (await (await fetch(`http://127.0.0.1:${metricsPort}/health`)).json()) as {
    state: string
    sessions: number
  }
  return [
    ...gauges.filter(([, value]) => value > 0).map(([gauge, value]) => `${name}: ${gauge} ${value}`),
    ...(size === free ? [] : [`${name}: ${free} of ${size} cache tokens left`]),
    ...(state === 'ONLINE' && sessions === 0 ? [] : [`${name}: ${state}, ${sessions} sessions`]),
  ]
}
