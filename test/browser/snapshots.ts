import type { ModelSnapshot, ServerSnapshot, SwarmSnapshot } from '../../src/api/swarm-view/snapshot.ts'
import { spansOf } from '../../src/base/span.ts'

/** A server that is well; its peer id is made of its name. */
export function serverOf(
  name: string,
  start: number,
  end: number,
  changes: Partial<ServerSnapshot> = {},
): ServerSnapshot {
  return {
    peerId: `12D3KooW${name}${'x'.repeat(Math.max(0, 8 - name.length))}`,
    name,
    isOwn: false,
    start,
    end,
    state: 'ONLINE',
    answers: true,
    isAvoided: false,
    device: 'cpu',
    dtype: 'float32',
    quant: 'none',
    kvDType: 'float32',
    throughput: 100,
    queueMs: 0,
    cacheTokens: 8192,
    cacheTokensLeft: 6000,
    roundTripMs: 3.2,
    reachable: true,
    version: '0.1.0',
    adapters: [],
    ...changes,
  }
}

export function modelOf(id: string, numBlocks: number, servers: readonly ServerSnapshot[]): ModelSnapshot {
  const holds = (block: number) =>
    servers.filter(({ start, end, state, answers }) => answers && state === 'ONLINE' && start <= block && block < end)
  const blocks = Array.from({ length: numBlocks }, (_, block) => block)
  return {
    id,
    modelKey: `llama-${numBlocks}x64-${id}`,
    numBlocks,
    holders: blocks.map((block) => holds(block).length),
    rates: blocks.map((block) => holds(block).reduce((sum, { throughput }) => sum + throughput, 0)),
    missing: spansOf(blocks.filter((block) => holds(block).length === 0)),
    servers,
  }
}

/** The demo model as three servers hold it. */
export function threeServers(): ModelSnapshot {
  return modelOf('demo', 8, [
    serverOf('ada', 0, 3, { throughput: 212.5 }),
    serverOf('bert', 3, 6, { throughput: 187 }),
    serverOf('carl', 6, 8, { throughput: 96 }),
  ])
}

/** A large model held by sixty servers of all kinds, and two of its blocks by nobody. */
export function sixtyServers(): ModelSnapshot {
  let seed = 7
  const random = (): number => (seed = (seed * 1103515245 + 12345) % 2 ** 31) / 2 ** 31
  const servers = Array.from({ length: 60 }, (_, i) => {
    const length = 4 + Math.floor(random() * 14)
    const start = Math.floor(random() * (78 - length))
    return serverOf(`node-${i}`, start, start + length, {
      throughput: 20 + random() * 300,
      roundTripMs: 2 + random() * 90,
      cacheTokensLeft: Math.floor(random() * 8192),
      queueMs: random() < 0.3 ? random() * 2000 : 0,
      device: 'cuda',
      dtype: 'bfloat16',
      kvDType: 'bfloat16',
      quant: random() < 0.4 ? 'nf4' : 'none',
      state: random() < 0.05 ? 'DRAINING' : 'ONLINE',
      answers: random() > 0.05,
    })
  })
  return modelOf(
    'big',
    80,
    servers.toSorted((a, b) => a.start - b.start || a.end - b.end),
  )
}

export function snapshotOf(
  models: readonly ModelSnapshot[],
  happenings: SwarmSnapshot['happenings'] = [],
): SwarmSnapshot {
  return {
    at: Date.now(),
    node: {
      peerId: '12D3KooWthisnode',
      version: '0.1.0',
      uptimeSeconds: 5400,
      peers: 4,
      busyCores: 0.12,
      memoryBytes: 412e6,
      running: 1,
      waiting: 0,
    },
    models,
    happenings,
  }
}
