import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { RemoteError } from '../../../src/swarm/frames/remote-error.ts'
import { eventually } from '../../eventually.ts'
import { newTrace } from '../../../src/swarm/node/trace.ts'
import type { RequestStream } from '../../../src/swarm/frames/frame-stream.ts'
import { type TestServer, TestSwarm, expected, hidden, tokensOf } from './servers.ts'

/** A server whose next steps wait until `go` is called. */
function hold(server: TestServer): { reached: Promise<void>; go: () => void } {
  const reached = Promise.withResolvers<void>(),
    gate = Promise.withResolvers<void>()
  server.beforeStep = () => {
    reached.resolve()
    return gate.promise
  }
  return { reached: reached.promise, go: gate.resolve }
}

/** An inference stream as a client opens it, for requests that no session of ours would make. */
async function openRaw(
  swarm: TestSwarm,
  { id, start, end }: TestServer,
  sessionId: string,
  maxLength = 100,
): Promise<RequestStream<'inference'>> {
  const stream = await swarm.network.open(swarm.client, id, 'inference')
  const reserve = { modelKey: 'test', start, end, maxLength, allocTimeoutMs: 5000 }
  await stream.send({ kind: 'open', sessionId, ...reserve, trace: newTrace() })
  return stream
}

test('a session cannot be cut back while a step is under way', async (t) => {
  const swarm = new TestSwarm(t)
  const server = await swarm.serve(0, 6)
  const session = swarm.session()
  await session.step(hidden([1, 2, 3]))
  const { reached, go } = hold(server)
  const step = session.step(hidden([4]))
  await reached
  assert.throws(
    () => {
      session.position = 2
    },
    { code: 'SESSION_BUSY' },
  )
  await assert.rejects(session.step(hidden([5])), { code: 'SESSION_BUSY' })
  go()
  assert.deepEqual(tokensOf(await step), expected([1, 2, 3, 4]).slice(-1))
  session.position = 2
  assert.deepEqual(tokensOf(await session.step(hidden([5]))), expected([1, 2, 5]).slice(-1))
})

test('closed in the middle of a step, a session says so, blames nobody and gives its rows back', async (t) => {
  const swarm = new TestSwarm(t)
  const [first, last] = [await swarm.serve(0, 3), await swarm.serve(3, 6)]
  const session = swarm.session()
  await session.step(hidden([1, 2, 3]))
  const { reached, go } = hold(last)
  const step = assert.rejects(session.step(hidden([4])), { code: 'SESSION_CLOSED' })
  await reached
  await session.close()
  await step
  await eventually(() => first.rows.numSequences + last.rows.numSequences === 0)
  go()
  await sleep(50)
  assert.deepEqual([first.blocks.sessions.count, last.blocks.sessions.count, swarm.banned.size], [0, 0, 0])
  await assert.rejects(session.step(hidden([5])), { code: 'SESSION_CLOSED' })
})

test('closed while its servers let it wait for cache, a session says so and leaves no row taken', async (t) => {
  const swarm = new TestSwarm(t)
  for (const [start, end] of [
    [0, 3],
    [3, 6],
  ] as const)
    await swarm.serve(start, end, { cacheTokens: 256 })
  const holder = swarm.session()
  await holder.step(hidden([1]))
  const session = swarm.session()
  const step = assert.rejects(session.step(hidden([1])), { code: 'SESSION_CLOSED' })
  await eventually(() => swarm.servers.every(({ numAsked }) => numAsked >= 2))
  await session.close()
  await holder.close()
  await step
  await eventually(() =>
    swarm.servers.every(({ numAsked, numAnswered, rows }) => numAnswered === numAsked && rows.numSequences === 0),
  )
  assert.equal(swarm.banned.size, 0)
})

test('where one part between two cuts cannot be opened, the others are given back', async (t) => {
  const swarm = new TestSwarm(t)
  const server = await swarm.serve(0, 3)
  const session = swarm.session({ cuts: [3], recoveryTimeoutMs: 1000 })
  await assert.rejects(session.step(hidden([1])), { code: 'NO_ROUTE' })
  assert.ok(server.numOpened > 0, 'the first part was opened')
  await eventually(() => server.rows.numSequences + server.blocks.sessions.count === 0)
})

test('a step seen before, of an older epoch or far ahead is not computed, and the client is told so', async (t) => {
  const swarm = new TestSwarm(t)
  const server = await swarm.serve(0, 6)
  const stream = await openRaw(swarm, server, '0'.repeat(32))
  const steps = [
    { epoch: 2, step: 5, position: 0, token: 1 },
    { epoch: 2, step: 5, position: 1, token: 2 },
    { epoch: 2, step: 4, position: 1, token: 3 },
    { epoch: 1, step: 6, position: 1, token: 4 },
    { epoch: 3, step: 1, position: 1, token: 5 },
    { epoch: 2 ** 31, step: 2, position: 2, token: 6 },
    { epoch: 3, step: 2 ** 31, position: 2, token: 7 },
  ]
  for (const { token, ...step } of steps)
    await stream.send({ kind: 'step', ...step, push: false, hidden: hidden([token]) })
  await stream.send({ kind: 'resume', request: 1, epoch: 4, position: 0, until: 1 })
  await stream.send({ kind: 'step', epoch: 3, step: 7, position: 2, push: false, hidden: hidden([6]) })
  await stream.send({ kind: 'fetch', request: 2, position: 0, until: 1 })
  const kinds: string[] = []
  assert.equal((await stream.receive())?.kind, 'opened')
  const outputs: number[] = []
  for (let kind = ''; kind !== 'refused';) {
    const answer = (await stream.receive({ timeoutMs: 20_000 }))!
    kind = answer.kind
    kinds.push(kind)
    if ('hidden' in answer) outputs.push(...tokensOf(answer.hidden))
  }
  assert.deepEqual(
    kinds.toSorted(),
    ['output', 'broken', 'broken', 'broken', 'output', 'broken', 'broken', 'resumed', 'broken', 'refused'].toSorted(),
  )
  assert.deepEqual(outputs, expected([1, 5]))
  assert.equal(server.computedTokens, 2)
})

test('a session id is refused while another session has it, or waits for cache under it', async (t) => {
  const swarm = new TestSwarm(t)
  const server = await swarm.serve(0, 6, { cacheTokens: 128 })
  const [holds, waits] = ['a'.repeat(32), 'b'.repeat(32)]
  const holder = await openRaw(swarm, server, holds)
  assert.equal((await holder.receive())?.kind, 'opened')
  const waiter = await openRaw(swarm, server, waits)
  for (const sessionId of [holds, waits]) {
    const second = await openRaw(swarm, server, sessionId)
    await assert.rejects(
      second.receive({ timeoutMs: 20_000 }),
      (error) => error instanceof RemoteError && error.code === 'SESSION_REQUEST',
    )
  }
  await holder.end()
  assert.equal((await waiter.receive({ timeoutMs: 20_000 }))?.kind, 'opened')
  assert.deepEqual([server.blocks.sessions.count, server.rows.numSequences], [1, 1])
})

test('a client that goes away while it waits for cache leaves no row taken', async (t) => {
  const swarm = new TestSwarm(t)
  const server = await swarm.serve(0, 6, { cacheTokens: 256 })
  const holder = await openRaw(swarm, server, 'a'.repeat(32), 128)
  await openRaw(swarm, server, 'b'.repeat(32), 256)
  await openRaw(swarm, server, 'c'.repeat(32), 128)
  await eventually(() => server.rows.numSequences === 2)
  await holder.end()
  await eventually(() => server.rows.numSequences === 1)
  swarm.network.kill('client')
  await eventually(() => server.rows.numSequences + server.blocks.sessions.count === 0)
  assert.deepEqual([server.rows.tokensLeft, server.numOpened], [256, 2])
})
