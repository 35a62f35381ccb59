import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import { openCheckpoint } from '../../src/checkpoint/checkpoint.ts'
import { CPU } from '../../src/runtime/device.ts'
import { type RunningServer, serve } from '../../src/server/serve.ts'
import type { SwarmNode } from '../../src/swarm/node/node.ts'
import { newTrace } from '../../src/swarm/node/trace.ts'
import { fromFloat32 } from '../../src/tensor/tensor.ts'
import { eventually, silent, startNode, suiteScope, targetOf } from '../swarm/kit.ts'

/* What one peer may have of a server at a time, and how long what was opened for it lives. */
const FOLDER = new URL('../fixtures/llama', import.meta.url).pathname
const HIDDEN_SIZE = 64
const TOKENS_PER_SECOND = 40
const PATIENCE = { timeoutMs: 30_000 }

let node: SwarmNode, client: SwarmNode, other: SwarmNode, server: RunningServer
let numSessions = 0

const suite = suiteScope()
before(async () => {
  node = await startNode(suite)
  const checkpoint = await openCheckpoint(FOLDER)
  const span = { start: 0, end: 1, device: CPU, dtype: 'float32', threads: 1, spin: false } as const
  const peerLimits = { tokensPerSecond: TOKENS_PER_SECOND }
  server = await serve(node, { checkpoint, ...span, peerLimits, cacheTokens: 1024 }, silent)
  suite.after(() => server.stop())
  ;[client, other] = [await startNode(suite), await startNode(suite)]
})

async function opened(by: SwarmNode) {
  const sessionId = (++numSessions).toString(16).padStart(32, '0')
  const stream = await by.open(targetOf(node), 'inference')
  const span = { modelKey: server.modelKey, start: 0, end: 1, maxLength: 128, allocTimeoutMs: 0 }
  await stream.send({ kind: 'open', sessionId, ...span, trace: newTrace() })
  assert.deepEqual(await stream.receive(PATIENCE), { kind: 'opened' })
  return { stream, sessionId }
}

function stepOf(step: number, position: number, tokens: number) {
  const values = Float32Array.from({ length: tokens * HIDDEN_SIZE }, (_, i) => Math.cos(i))
  return {
    kind: 'step',
    epoch: 1,
    step,
    position,
    push: true,
    hidden: fromFloat32(values, [tokens, HIDDEN_SIZE]),
  } as const
}

test('a peer that asks for more tokens than it may have per second waits, and others do not', async () => {
  const [greedy, modest] = [await opened(client), await opened(other)]
  const began = performance.now()
  const order: string[] = []
  await greedy.stream.send(stepOf(1, 0, 100))
  await modest.stream.send(stepOf(1, 0, 1))
  const answers = [
    [greedy, 'greedy'],
    [modest, 'modest'],
  ] as const
  await Promise.all(
    answers.map(async ([{ stream }, name]) => {
      assert.equal((await stream.receive(PATIENCE))?.kind, 'output')
      order.push(name)
    }),
  )
  assert.deepEqual(order, ['modest', 'greedy'])
  // It had a second's worth; the rest has to be earned.
  const leastMs = (1000 * (100 - TOKENS_PER_SECOND)) / TOKENS_PER_SECOND
  assert.ok(performance.now() - began > leastMs - 50, `after ${(performance.now() - began).toFixed(0)} ms`)
  for (const { stream } of [greedy, modest]) await stream.end()
})

test('a push stream ends with its session', async () => {
  const { stream, sessionId } = await opened(client)
  await stream.send({ kind: 'accept', request: 1, peerId: other.peerId })
  assert.equal((await stream.receive(PATIENCE))?.kind, 'accepted')
  const push = await other.open(targetOf(node), 'push')
  await push.send({ kind: 'open', sessionId })
  assert.deepEqual(await push.receive(PATIENCE), { kind: 'opened' })
  const over = assert.rejects(push.receive(PATIENCE), { code: 'SWARM_STREAM_LOST' })
  await stream.end()
  await over
  await eventually(() => node.numServedStreams.push === 0)
})

/** A session that keeps 20 outputs, whose client has as many bytes under way to it as it may. */
async function keeping() {
  const { stream } = await opened(other)
  await stream.send({ kind: 'route', request: 1 })
  assert.equal((await stream.receive(PATIENCE))?.kind, 'routed')
  await stream.send(stepOf(1, 0, 20))
  assert.equal((await stream.receive(PATIENCE))?.kind, 'output')
  const { sent } = node.peerGuard
  assert.ok(sent.tryTake(other.peerId, sent.perPeer))
  await stream.send({ kind: 'fetch', request: 2, position: 0, until: 20 })
  return { stream, giveBack: () => sent.give(other.peerId, sent.perPeer) }
}

test('copies wait until their client has read what was sent before; steps do not', async () => {
  const { stream, giveBack } = await keeping()
  await stream.send(stepOf(2, 20, 1))
  assert.equal((await stream.receive(PATIENCE))?.kind, 'output')
  giveBack()
  const copies = await stream.receive(PATIENCE)
  assert.ok(copies?.kind === 'fetched')
  assert.deepEqual([copies.request, copies.position, copies.hidden.shape], [2, 0, [20, HIDDEN_SIZE]])
  await stream.end()
  await eventually(() => node.peerGuard.sent.bytes === 0)
})

test('copies that wait are forgotten when their session ends', async () => {
  const { stream, giveBack } = await keeping()
  await stream.send({ kind: 'accept', request: 3 })
  assert.equal((await stream.receive(PATIENCE))?.kind, 'accepted')
  await stream.end()
  await eventually(() => server.blocks.sessions.count === 0)
  giveBack()
  assert.equal(node.peerGuard.sent.bytes, 0)
})
