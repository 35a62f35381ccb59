import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { InferenceSession, type Recovery } from '../../../src/client/session/inference-session.ts'
import { ReplayMemory } from '../../../src/client/session/inputs/replay-memory.ts'
import type { SwarmAccess } from '../../../src/client/remote/swarm-access.ts'
import { loadIdentity } from '../../../src/swarm/node/identity.ts'
import { createSwarmNode } from '../../../src/swarm/node/node.ts'
import { Link, type LinkOptions, freePort } from '../../link.ts'
import { silent, startNode } from '../../swarm/kit.ts'
import { MemoryNetwork } from './network.ts'
import { TestServer, expected, hidden, tokensOf } from './servers.ts'

const HIDDEN_SIZE = 8192

/** 50 Mbit/s and a round trip of 80 ms. */
const SLOW: LinkOptions = { bytesPerSecond: 50e6 / 8, delayMs: 40 }

/** A server on a real node that is reached through a slow link only. */
async function serveBehind(t: TestContext, servers: TestServer[], span: readonly [number, number]): Promise<Link> {
  const port = await freePort()
  const link = await Link.open(port, SLOW)
  t.after(() => link.close())
  const node = await createSwarmNode({
    identity: await loadIdentity(),
    listen: [`/ip4/127.0.0.1/tcp/${port}`],
    announce: [`/ip4/127.0.0.1/tcp/${link.port}`],
    logger: silent,
  })
  await node.start()
  t.after(() => node.stop())
  const targetOf = (peerId: string) => servers.find(({ id }) => id === peerId)!.record()
  const server = new TestServer(new MemoryNetwork(), new MemoryNetwork().join(node.peerId), span, 4096, {
    node,
    targetOf,
  })
  server.multiaddrs = node.multiaddrs
  await server.blocks.start()
  servers.push(server)
  return link
}

async function openSession(t: TestContext, servers: readonly TestServer[], banned: string[]) {
  const client = await startNode(t, { listen: [] })
  const swarm: SwarmAccess = {
    modelKey: 'test',
    records: () => servers.map((server) => server.record()),
    refresh: async () => undefined,
    open: (server, rpc, signal) => client.open(server, rpc, { signal }),
    avoided: () => new Set(banned),
    avoid: (peerId) => void banned.push(peerId),
  }
  const session = new InferenceSession(swarm, {
    start: 0,
    end: 6,
    hiddenSize: HIDDEN_SIZE,
    wireDType: 'auto',
    maxLength: 2048,
    allocTimeoutMs: 5000,
    connectTimeoutMs: 5000,
    pullsCopies: true,
    replayMemory: new ReplayMemory(),
    recoveryTimeoutMs: 20_000,
    watchdog: { lateMs: 500, answerMs: 2000, minStepMs: 20_000, stepTimeoutMs: 300_000 },
  })
  t.after(() => session.close())
  return session
}

/** 17 MB of hidden states: 2.7 s on each of the three links, longer than a server may take to say what it does. */
const TOKENS = 512

test('a long prompt over slow links bans no healthy server, and a frozen link still shows', async (t) => {
  const servers: TestServer[] = []
  const banned: string[] = []
  await serveBehind(t, servers, [0, 3])
  const second = await serveBehind(t, servers, [3, 6])
  const session = await openSession(t, servers, banned)
  const recoveries: Recovery[] = []
  session.on('recovery', (recovery) => recoveries.push(recovery))
  const prompt = Array.from({ length: TOKENS }, (_, i) => i % 97)
  const began = performance.now()
  const output = tokensOf(await session.step(hidden(prompt, HIDDEN_SIZE)))
  t.diagnostic(`${TOKENS} tokens in ${((performance.now() - began) / 1000).toFixed(1)} s`)
  assert.deepEqual(output, expected(prompt))
  assert.deepEqual([banned, recoveries], [[], []])

  await serveBehind(t, servers, [3, 6])
  second.freeze()
  assert.deepEqual(tokensOf(await session.step(hidden([5], HIDDEN_SIZE))), expected([...prompt, 5]).slice(-1))
  assert.deepEqual(banned, [servers[1]!.id])
  assert.equal(recoveries.length, 1)
})
