import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { InferenceSession } from '../../../src/client/session/inference-session.ts'
import { eventually } from '../../eventually.ts'
import { type TestServer, TestSwarm, expected, hidden, tokensOf } from './servers.ts'

const PROMPT = Array.from({ length: 80 }, (_, i) => (i * 7) % 101)

/** Sends the tokens of `sequence` that the session does not hold yet, and checks what comes back. */
async function feed(session: InferenceSession, sequence: readonly number[]): Promise<void> {
  const { position } = session
  assert.deepEqual(tokensOf(await session.step(hidden(sequence.slice(position)))), expected(sequence).slice(position))
}

/** Three servers with room for one session of 256 tokens each, and a session that holds the prompt. */
async function full(t: TestContext): Promise<{ swarm: TestSwarm; servers: TestServer[]; session: InferenceSession }> {
  const swarm = new TestSwarm(t)
  const servers: TestServer[] = []
  for (const start of [0, 2, 4]) servers.push(await swarm.serve(start, start + 2, { cacheTokens: 256 }))
  const session = swarm.session()
  await feed(session, PROMPT)
  return { swarm, servers, session }
}

const parked = (servers: readonly TestServer[]): number[] => servers.map(({ blocks }) => blocks.sessions.parkedTokens)

test('a parked session makes way for another one at once, and is replayed by its next step', async (t) => {
  const { swarm, servers, session } = await full(t)
  assert.ok(session.park())
  await eventually(() => parked(servers).every((tokens) => tokens === 80))
  const lost: string[] = []
  session.on('lost', ({ message }) => lost.push(message))
  const other = swarm.session({ allocTimeoutMs: 0 })
  await feed(other, [1, 2, 3])
  await eventually(() => lost.length === 3)
  assert.match(lost[0]!, /parked/)
  await other.close()
  swarm.banned.clear()
  await feed(session, [...PROMPT, 5])
  assert.equal(session.replayedTokens, 3 * 80)
})

test('what is used again gives way to nobody', async (t) => {
  const { swarm, servers, session } = await full(t)
  session.park()
  await feed(session, [...PROMPT, 5])
  session.park()
  session.unpark()
  await eventually(() => parked(servers).every((tokens) => tokens === 0))
  await assert.rejects(feed(swarm.session({ allocTimeoutMs: 0, recoveryTimeoutMs: 50 }), [1]), { code: 'CACHE_FULL' })
  await feed(session, [...PROMPT, 5, 6])
  assert.equal(session.replayedTokens, 0)
})

test('a server that drains does not wait for what is parked, before or meanwhile', async (t) => {
  const { servers, session } = await full(t)
  servers[0]!.blocks.sessions.drain()
  session.park()
  await eventually(() => servers[0]!.blocks.sessions.count === 0)
  servers[1]!.blocks.sessions.drain()
  await eventually(() => servers[1]!.blocks.sessions.count === 0)
  assert.equal(servers[2]!.blocks.sessions.count, 1)
})

test('servers of an earlier version are told nothing', async (t) => {
  const swarm = new TestSwarm(t)
  const server = await swarm.serve(0, 6)
  const { record } = server
  server.record = () => ({ ...record.call(server), protocol: '3.1.0' })
  const session = swarm.session()
  await feed(session, PROMPT)
  assert.equal(session.park(), false)
  await feed(session, [...PROMPT, 1])
  assert.equal(server.blocks.sessions.parkedTokens, 0)
})

test('a fork that must not replay fails where there is no room, a server is lost, or one does not copy', async (t) => {
  const swarm = new TestSwarm(t)
  const servers = [await swarm.serve(0, 3), await swarm.serve(3, 6, { cacheTokens: 512 })]
  const session = swarm.session()
  await feed(session, PROMPT)
  const copy = async (): Promise<InferenceSession> => {
    const fork = swarm.session()
    await fork.forkFrom(session, 40, { onlyCopies: true }).catch(async (error: unknown) => {
      assert.equal(fork.position, 0)
      await fork.close()
      throw error
    })
    return fork
  }
  const fork = await copy()
  await feed(fork, [...PROMPT.slice(0, 40), 1])
  await assert.rejects(copy, { code: 'CACHE_FULL' })
  await fork.close()
  servers[0]!.beforeFork = () => {
    throw new Error('not here')
  }
  await assert.rejects(copy, { code: 'SESSION_FORK' })
  swarm.kill(servers[0]!)
  await eventually(() => session.links[0]!.remote.lost !== undefined)
  await assert.rejects(copy)
  assert.deepEqual(
    servers.map(({ computedTokens }) => computedTokens),
    [81, 81],
  )
})
