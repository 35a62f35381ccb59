import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { ByteBudget } from '../../../src/swarm/byte-budget.ts'
import { CODECS } from '../../../src/swarm/frames/codec.ts'
import { encodeFrame } from '../../../src/swarm/frames/frame.ts'
import type { IntakeBudgets } from '../../../src/swarm/frames/frame-intake.ts'
import {
  FrameStream,
  type RequestStream,
  type ServedStream,
  openingSide,
  servingSide,
} from '../../../src/swarm/frames/frame-stream.ts'
import { loopback } from '../../../src/swarm/frames/loopback.ts'
import type { Request } from '../../../src/swarm/frames/messages.ts'
import { RPC_LIMITS } from '../../../src/swarm/limits.ts'
import { RateLimit } from '../../../src/swarm/rate-limit.ts'
import type { PackedTensor } from '../../../src/tensor/activations.ts'
import { bytesTensor, eventually, stepOf } from '../kit.ts'

const KIB = 1024
const LIMITS = RPC_LIMITS.inference

interface Pair {
  readonly client: RequestStream<'inference'>
  readonly server: ServedStream<'inference'>
  /** Sends bytes as they are. */
  readonly raw: (bytes: Uint8Array) => void
}

/** Both ends of a stream whose serving side counts what comes. */
function pair(budgets: IntakeBudgets, peerId = 'client'): Pair {
  const [near, far] = loopback()
  const client: RequestStream<'inference'> = new FrameStream(near, {
    remotePeer: 'server',
    side: openingSide('inference', LIMITS),
    report: assert.fail,
  })
  const server: ServedStream<'inference'> = new FrameStream(far, {
    remotePeer: peerId,
    side: servingSide('inference', LIMITS),
    report: assert.fail,
    budgets,
  })
  return { client, server, raw: (bytes) => near.send(bytes) }
}

function budgets({ perPeer = 1024 * KIB, rate = Infinity } = {}) {
  return { bytes: new ByteBudget({ perPeer, total: 8 * perPeer }), requests: new RateLimit(rate) }
}

const encoded = (message: Request<'inference'>): Uint8Array =>
  encodeFrame(message, CODECS.inference.requests, LIMITS).subarray()

function listenTo(server: Pair['server'], onMessage: () => void): void {
  server.listen({ onMessage, onError: assert.fail, onEnd: () => undefined })
}

/** Some turns of the event loop, in which everything that can go on does. */
async function turns(count = 50): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise(setImmediate)
}

test('frames that are never finished take no more than their peer may hold, and others go on', async () => {
  const counted = budgets()
  const halves = Array.from({ length: 16 }, () => pair(counted))
  const bytes = encoded(stepOf(1, 400 * KIB))
  for (const { raw } of halves) raw(bytes.subarray(0, 300 * KIB))
  await turns()
  assert.equal(counted.bytes.heldBy('client'), 2 * 400 * KIB)
  const other = pair(counted, 'other')
  void other.client.send(stepOf(7, 400 * KIB))
  const got = await other.server.receive()
  assert.equal(got?.kind === 'step' && got.position, 7)
  // The third is read once the first is gone.
  halves[0]!.client.abort(new Error('gone'))
  await turns()
  assert.equal(counted.bytes.heldBy('client'), 2 * 400 * KIB)
  for (const { client } of halves) client.abort(new Error('gone'))
  other.client.abort(new Error('gone'))
  await eventually(() => counted.bytes.bytes === 0)
})

/** A step of so many packed bytes, which are none as float32 until they are unpacked. */
function packedStep(rows: number): Request<'inference'> {
  const shape = [rows, 1024]
  const hidden: PackedTensor = { dtype: 'int8-blocks', shape, data: new Uint8Array(rows * 1088) }
  return { kind: 'step', epoch: 1, step: 1, position: 0, push: false, hidden }
}

test('what is packed counts as its bytes and as what it is unpacked to, and is bounded by the latter', async () => {
  const counted = budgets()
  const { client, server, raw } = pair(counted)
  raw(encoded(packedStep(100)).subarray(0, 2000))
  await turns()
  assert.equal(counted.bytes.heldBy('client'), 100 * (1088 + 4096))
  client.abort(new Error('gone'))
  await eventually(() => counted.bytes.bytes === 0)
  await assert.rejects(server.receive())

  // So much goes alone: as float32 it is all that a peer may hold.
  const largest = pair(counted)
  void largest.client.send(packedStep(256))
  assert.equal((await largest.server.receive())?.kind, 'step')
  assert.equal(counted.bytes.heldBy('client'), 1024 * KIB)
  largest.client.abort(new Error('gone'))
  await eventually(() => counted.bytes.bytes === 0)

  const tooLarge = pair(counted)
  void tooLarge.client.send(packedStep(257)).catch(() => undefined)
  await assert.rejects(tooLarge.client.receive(), { code: 'SWARM_FRAME', message: /may take 1048576 of this node/ })
  assert.equal(counted.bytes.bytes, 0)
})

test('half a frame has a deadline, and so has the wait for room', async (t: TestContext) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const counted = budgets()
  const [slow, late] = [pair(counted), pair(counted)]
  const bytes = encoded(stepOf(1, 640 * KIB))
  slow.raw(bytes.subarray(0, 100))
  await turns()
  late.raw(bytes)
  await turns()
  const refused = assert.rejects(slow.client.receive(), { code: 'SWARM_TIMEOUT', message: /not complete within 40 s/ })
  t.mock.timers.tick(39_000)
  await turns()
  assert.equal(counted.bytes.bytes, 640 * KIB)
  t.mock.timers.tick(2000)
  await turns()
  await refused
  // Its room goes to the one that waits.
  assert.equal((await late.server.receive())?.kind, 'step')
  const third = pair(counted)
  third.raw(bytes)
  await turns()
  t.mock.timers.tick(61_000)
  await turns()
  await assert.rejects(third.client.receive(), { code: 'SWARM_BUSY', message: /holds 655360 bytes here/ })
})

test('a payload that no peer may hold is refused at once', async () => {
  const { client, raw } = pair(budgets({ perPeer: 100 * KIB }))
  raw(encoded(stepOf(1, 200 * KIB)).subarray(0, 1000))
  await assert.rejects(client.receive(), { code: 'SWARM_FRAME', message: /a peer may take 102400/ })
})

test('a flood of requests whose answers nobody reads is read no further, and all are answered in the end', async () => {
  const counted = budgets()
  const { server, raw, client } = pair(counted)
  let numAnswered = 0
  server.listen({
    onMessage: (message) => {
      assert.ok(message.kind === 'accept')
      void server.send({ kind: 'accepted', request: message.request }).then(() => (numAnswered += 1))
    },
    onError: assert.fail,
    onEnd: () => undefined,
  })
  const count = 5000
  const flood = Array.from({ length: count }, (_, i) => encoded({ kind: 'accept', request: i + 1 }))
  // Answers are not taken off the stream while the queue of the one that asks is full.
  raw(Buffer.concat(flood))
  await turns(200)
  assert.ok(numAnswered < count / 2, `${numAnswered} were answered`)
  for (let i = 1; i <= count; i++) {
    const answer = await client.receive()
    assert.equal(answer?.kind === 'accepted' && answer.request, i)
  }
})

test('one stream takes its turns between others, however much has arrived on it', async () => {
  const counted = budgets()
  const [busy, other] = [pair(counted), pair(counted, 'other')]
  let numBusy = 0
  const seen = Promise.withResolvers<number>()
  listenTo(busy.server, () => (numBusy += 1))
  listenTo(other.server, () => seen.resolve(numBusy))
  busy.raw(Buffer.concat(Array.from({ length: 10_000 }, () => encoded({ kind: 'ack', until: 1 }))))
  await turns(1)
  other.raw(encoded({ kind: 'ack', until: 1 }))
  const before = await seen.promise
  assert.ok(before < 1000, `${before} messages came before`)
  await eventually(() => numBusy === 10_000)
})

test('a peer that sends more than its rate is read at its rate, over all its streams', async () => {
  const counted = budgets({ rate: 200 })
  const began = performance.now()
  let count = 0
  for (const { server, raw } of [pair(counted), pair(counted)]) {
    server.listen({
      onMessage: () => {
        count += 1
      },
      onError: assert.fail,
      onEnd: () => undefined,
    })
    raw(Buffer.concat(Array.from({ length: 200 }, () => encoded({ kind: 'ack', until: 1 }))))
  }
  await eventually(() => count === 400)
  const seconds = (performance.now() - began) / 1000
  assert.ok(seconds > 0.9, `${seconds} s`)
})

test('what is worked on counts until it is done, and no more than some of it is taken at a time', async () => {
  const counted = budgets()
  const { server, client, raw } = pair(counted)
  const done: (() => void)[] = []
  server.listen({
    onMessage: () => new Promise<void>((resolve) => done.push(resolve)),
    onError: assert.fail,
    onEnd: () => undefined,
  })
  raw(Buffer.concat(Array.from({ length: 300 }, (_, i) => encoded(stepOf(i, 4 * KIB)))))
  await turns()
  assert.ok(done.length < 100, `${done.length} at once`)
  assert.equal(counted.bytes.bytes, done.length * 4 * KIB)
  for (let i = 0; i < 300; i++) {
    await eventually(() => done.length > i)
    done[i]!()
    await turns(1)
  }
  await turns()
  assert.equal(counted.bytes.bytes, 0)
  client.abort(new Error('gone'))
})

test('what is worked on when its stream ends counts until the work is done', async () => {
  const counted = budgets()
  const { server, client } = pair(counted)
  const work = Promise.withResolvers<void>()
  server.listen({ onMessage: () => work.promise, onError: assert.fail, onEnd: () => undefined })
  const hidden = bytesTensor(4 * KIB)
  void client.send({ kind: 'step', epoch: 1, step: 1, position: 0, push: false, hidden })
  await turns()
  client.abort(new Error('gone'))
  await server.closed
  assert.equal(counted.bytes.bytes, 4 * KIB)
  work.resolve()
  await turns(2)
  assert.equal(counted.bytes.bytes, 0)
})

test('what is sent on behalf of another peer counts as that one`s', async () => {
  const counted = budgets()
  const { server, client } = pair(counted)
  server.countFor('its client')
  void client.send(stepOf(1, 4 * KIB))
  assert.equal((await server.receive())?.kind, 'step')
  assert.equal(counted.bytes.heldBy('client'), 0)
  assert.equal(counted.bytes.heldBy('its client'), 4 * KIB)
  server.releaseReceived()
  assert.equal(counted.bytes.bytes, 0)
  client.abort(new Error('gone'))
})
