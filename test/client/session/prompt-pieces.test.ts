import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { InferenceSession } from '../../../src/client/session/inference-session.ts'
import { RuntimeError } from '../../../src/runtime/errors.ts'
import { type TestServer, TestSwarm, expected, hidden, tokensOf } from './servers.ts'

/** Wide enough that links, of which nothing is known, are worth pieces of the least size. */
const WIDTH = 1024
const PIECE = 128
const PROMPT = Array.from({ length: 8 * PIECE + 5 }, (_, i) => (i * 7) % 101)

/** A session over three servers and, for each, one that can take its place. */
async function begin(t: TestContext) {
  const swarm = new TestSwarm(t)
  const spans = [
    [0, 2],
    [2, 4],
    [4, 6],
  ] as const
  const servers: TestServer[] = []
  for (const [start, end] of [...spans, ...spans]) servers.push(await swarm.serve(start, end, { cacheTokens: 8192 }))
  const session = swarm.session({ hiddenSize: WIDTH, maxLength: 2048 })
  return { swarm, servers: servers.slice(0, 3), spares: servers.slice(3), session }
}

/** Feeds tokens, asks for the last rows only, and checks them. */
async function feed(session: InferenceSession, sequence: readonly number[], rows: number): Promise<void> {
  const output = await session.step(hidden(sequence.slice(session.position), WIDTH), { rows })
  assert.deepEqual(tokensOf(output), expected(sequence).slice(-rows))
  assert.equal(session.position, sequence.length)
}

test('all servers of a chain work on pieces of a long prompt at the same time', { timeout: 60_000 }, async (t) => {
  const { servers, session } = await begin(t)
  const [first, , last] = servers as [TestServer, TestServer, TestServer]
  const { promise: firstIsAhead, resolve } = Promise.withResolvers<void>()
  first.beforeStep = () => {
    if (first.computed.length === 3) resolve()
  }
  // Where a client sent a piece only after the output of the one before, nothing would ever come.
  last.beforeStep = () => firstIsAhead
  await feed(session, PROMPT, 1)
  const pieces = Array.from({ length: 8 }, (_, i) => ({ position: i * PIECE, tokens: PIECE }))
  for (const { computed } of servers) assert.deepEqual(computed, [...pieces, { position: 8 * PIECE, tokens: 5 }])
  await feed(session, [...PROMPT, 9], 1)
})

test('a prompt that its signal ends leaves the pieces that all servers have computed', async (t) => {
  const { servers, session } = await begin(t)
  const abort = new AbortController()
  const last = servers[2]!
  last.beforeStep = async () => {
    if (last.computed.length < 3) return
    // Behind the answers to the pieces before, which are on their way in this process.
    await sleep(20)
    abort.abort()
  }
  const cut = session.step(hidden(PROMPT, WIDTH), { rows: 1, signal: abort.signal })
  await assert.rejects(cut, { code: 'SESSION_ABORTED' })
  const { position } = session
  assert.equal(position, 3 * PIECE)
  last.beforeStep = () => undefined
  const other = [...PROMPT.slice(0, position), ...PROMPT.toReversed()]
  await feed(session, other, 1)
  await assert.rejects(session.step(hidden([1], WIDTH), { signal: AbortSignal.abort() }), { code: 'SESSION_ABORTED' })
  await feed(session, [...other, 7], 1)
})

test('the wanted rows of a step come from several pieces, or from one', async (t) => {
  const { session } = await begin(t)
  for (const rows of [1, 5, 6, 300, PROMPT.length]) {
    await feed(session, PROMPT, rows)
    session.position = 0
  }
  for (const rows of [0, PROMPT.length + 1, 1.5]) {
    await assert.rejects(session.step(hidden(PROMPT, WIDTH), { rows }), { code: 'USAGE' })
  }
})

for (const [at, name] of ['first', 'second', 'third'].entries()) {
  test(`where the ${name} server dies in the middle of a prompt, the others compute each token once`, async (t) => {
    const { swarm, servers, spares, session } = await begin(t)
    const victim = servers[at]!
    await feed(session, PROMPT.slice(0, 3), 1)
    victim.beforeStep = () => {
      if (victim.computed.length === 4) swarm.kill(victim)
    }
    await feed(session, PROMPT, 1)
    await feed(session, [...PROMPT, 9], 1)
    for (const [i, { computedTokens }] of servers.entries()) {
      if (i !== at) assert.equal(computedTokens, PROMPT.length + 1)
    }
    assert.equal(spares[at]!.computedTokens, PROMPT.length + 1)
    assert.deepEqual([...swarm.banned], [victim.id])
  })

  test(`where the ${name} server fails in mid-prompt, or the prompt is changed, no row differs`, async (t) => {
    const { servers, spares, session } = await begin(t)
    const victim = servers[at]!
    victim.beforeStep = () => {
      if (victim.computed.length === 4) throw new RuntimeError('RUNTIME_FAILED', 'out of memory')
    }
    await feed(session, PROMPT, 300)
    assert.equal(spares[at]!.computedTokens, PROMPT.length)
    session.position = 200
    await feed(session, [...PROMPT.slice(0, 200), ...PROMPT.toReversed()], 1)
  })
}

test('a step that asks for more rows than it has tokens is not computed', async (t) => {
  const swarm = new TestSwarm(t)
  const server = await swarm.serve(0, 6)
  const stream = await swarm.open(server.record(), 'inference', new AbortController().signal)
  const [sessionId, trace] = ['00'.repeat(16), '00'.repeat(8)]
  await stream.send({
    kind: 'open',
    sessionId,
    trace,
    modelKey: 'test',
    start: 0,
    end: 6,
    maxLength: 8,
    allocTimeoutMs: 0,
  })
  assert.equal((await stream.receive())?.kind, 'opened')
  const step = { kind: 'step', epoch: 1, position: 0, push: true } as const
  await stream.send({ ...step, step: 1, hidden: hidden([1, 2]), rows: 3 })
  const refused = await stream.receive()
  assert.deepEqual([refused?.kind, refused?.kind === 'broken' && refused.code], ['broken', 'SESSION_STEP'])
  await stream.send({ ...step, step: 2, hidden: hidden([1, 2]), rows: 0 })
  assert.deepEqual(await stream.receive(), { kind: 'computed', epoch: 1, step: 2, position: 2 })
  assert.equal(server.computedTokens, 2)
})
