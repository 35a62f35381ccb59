import assert from 'node:assert/strict'
import { once } from 'node:events'
import { before, test } from 'node:test'
import { openCheckpoint } from '../../src/checkpoint/checkpoint.ts'
import { AdapterDigest } from '../../src/checkpoint/adapter/adapter-digest.ts'
import { CPU } from '../../src/runtime/device.ts'
import { type RunningServer, serve } from '../../src/server/serve.ts'
import { encodeFrame } from '../../src/swarm/frames/frame.ts'
import { FrameStream, openingSide } from '../../src/swarm/frames/frame-stream.ts'
import type { Request } from '../../src/swarm/frames/messages.ts'
import { RPC_LIMITS, type Rpc, protocolId } from '../../src/swarm/limits.ts'
import type { SwarmNode } from '../../src/swarm/node/node.ts'
import { newTrace } from '../../src/swarm/node/trace.ts'
import { type PackedTensor, activationBytes } from '../../src/tensor/activations.ts'
import { type Tensor, fromFloat32 } from '../../src/tensor/tensor.ts'
import { eventually, silent, startNode, suiteScope, targetOf } from '../swarm/kit.ts'

/*
 * What a request takes of a server (cache, bytes, a session, a stream, an adapter's place) is given back on every way
 * out: after each kind of refusal and each kind of disconnect the room left is what it was.
 */
const FOLDER = new URL('../fixtures/llama', import.meta.url).pathname
const HIDDEN_SIZE = 64
const CACHE_TOKENS = 256
const ADAPTER_BYTES = 1 << 20
/** Each is tried so often: a room that leaks would be empty. */
const TIMES = 8

const states = (...shape: number[]): Tensor =>
  fromFloat32(new Float32Array(shape.reduce((product, size) => product * size, 1)).fill(0.5), shape)

/** Rows of int8 whose scales and bytes are all ones. */
const packedOnes = (...shape: number[]): PackedTensor => ({
  dtype: 'int8-blocks',
  shape,
  data: new Uint8Array(activationBytes('int8-blocks', shape)).fill(1),
})

let node: SwarmNode, client: SwarmNode, server: RunningServer
let numSessions = 0

const suite = suiteScope()
before(async () => {
  node = await startNode(suite)
  const checkpoint = await openCheckpoint(FOLDER)
  const span = { start: 0, end: 1, device: CPU, dtype: 'float32', threads: 1, spin: false } as const
  const adapters = { allowClientAdapters: true, adapterBytes: ADAPTER_BYTES }
  server = await serve(node, { checkpoint, ...span, ...adapters, cacheTokens: CACHE_TOKENS }, silent)
  suite.after(() => server.stop())
  client = await startNode(suite, { listen: [] })
  await client.connect(node.multiaddrs[0]!)
})

const GONE = new Error('the client is gone')

type Open = Extract<Request<'inference'>, { kind: 'open' }>
type Forward = Request<'forward'>
type Backward = Request<'backward'>

function openOf(changes: Partial<Open> = {}): Open {
  numSessions += 1
  return {
    kind: 'open',
    sessionId: numSessions.toString(16).padStart(32, '0'),
    modelKey: server.modelKey,
    start: 0,
    end: 1,
    maxLength: 128,
    allocTimeoutMs: 0,
    trace: newTrace(),
    ...changes,
  }
}

function forwardOf(changes: Partial<Forward> = {}): Forward {
  const { modelKey } = server
  return {
    kind: 'forward',
    modelKey,
    start: 0,
    end: 1,
    trace: newTrace(),
    hidden: states(1, 4, HIDDEN_SIZE),
    ...changes,
  }
}

function backwardOf(changes: Partial<Backward> = {}): Backward {
  const gradient = states(1, 4, HIDDEN_SIZE)
  const { kind: _, hidden: __, ...rest } = forwardOf()
  return { ...rest, hidden: gradient, gradient, adapterGradients: false, ...changes, kind: 'backward' }
}

async function opened(changes: Partial<Open> = {}) {
  const stream = await client.open(targetOf(node), 'inference')
  await stream.send(openOf(changes))
  assert.deepEqual(await stream.receive({ timeoutMs: 20_000 }), { kind: 'opened' })
  return stream
}

/** Everything that requests take; equal before and after each of them. */
function roomLeft() {
  const streams = Object.values(node.numServedStreams).reduce((sum, count) => sum + count, 0)
  return {
    cacheTokens: server.engine.cacheTokensLeft,
    sequences: server.engine.numSessions,
    sessions: server.blocks.sessions.count,
    keptBytes: server.blocks.sessions.outputBudget.bytes,
    streams,
  }
}

const EMPTY = { cacheTokens: CACHE_TOKENS, sequences: 0, sessions: 0, keptBytes: 0, streams: 0 }

async function isAllBack(what: string): Promise<void> {
  await eventually(() => {
    const left = roomLeft()
    return Object.entries(EMPTY).every(([name, amount]) => left[name as keyof typeof left] === amount)
  }, 20_000).catch(() => assert.deepEqual(roomLeft(), EMPTY, what))
}

const OPENS: Readonly<Record<string, [code: string, () => Partial<Open>]>> = {
  'a form of activations that it does not know': ['WIRE_DTYPE', () => ({ wireDType: 'int3' })],
  'a model that it does not hold': ['MODEL_UNKNOWN', () => ({ modelKey: 'another' })],
  'blocks that it does not hold': ['SPAN_NOT_HELD', () => ({ end: 3 })],
  'more tokens than the model has positions for': ['SESSION_TOO_LONG', () => ({ maxLength: 1 << 30 })],
  'an adapter that it does not have': ['ADAPTER_UNKNOWN', () => ({ adapter: 'none' })],
  'prompts of another width': ['TENSOR_SHAPE', () => ({ prompts: states(1, 2, HIDDEN_SIZE + 1) })],
  'prompts for more blocks': ['TENSOR_SHAPE', () => ({ prompts: states(2, 2, HIDDEN_SIZE) })],
}

for (const [what, [code, changes]] of Object.entries(OPENS)) {
  test(`a session refused for ${what} leaves all room`, async () => {
    for (let i = 0; i < TIMES; i++) {
      const stream = await client.open(targetOf(node), 'inference')
      await stream.send(openOf(changes()))
      await assert.rejects(stream.receive({ timeoutMs: 20_000 }), { code })
      await stream.end()
    }
    await isAllBack(what)
  })
}

/** Refusals of passes in either direction. */
const PASSES: Readonly<Record<string, [code: string, () => Omit<Partial<Backward>, 'kind'>]>> = {
  'a model that it does not hold': ['MODEL_UNKNOWN', () => ({ modelKey: 'another' })],
  'blocks that it does not hold': ['SPAN_NOT_HELD', () => ({ end: 3 })],
  'hidden states of another width': ['TENSOR_SHAPE', () => ({ hidden: states(1, 4, HIDDEN_SIZE - 1) })],
  'an adapter that it does not have': ['ADAPTER_UNKNOWN', () => ({ adapter: 'none' })],
  'prompts that are not finite': [
    'TENSOR_NONFINITE',
    () => ({ prompts: fromFloat32(new Float32Array(2 * HIDDEN_SIZE).fill(Number.NaN), [1, 2, HIDDEN_SIZE]) }),
  ],
  'prompts for more blocks': ['TENSOR_SHAPE', () => ({ prompts: states(2, 2, HIDDEN_SIZE) })],
}

const FORWARDS: Readonly<Record<string, [code: string, () => Partial<Forward>]>> = {
  ...PASSES,
  'a form of activations that it does not know': ['WIRE_DTYPE', () => ({ wireDType: 'int3' })],
  'packed hidden states that cannot have been packed': [
    'TENSOR_NONFINITE',
    () => ({ hidden: packedOnes(1, 4, HIDDEN_SIZE) }),
  ],
}

for (const rpc of ['forward', 'probe'] as const) {
  for (const [what, [code, changes]] of Object.entries(FORWARDS)) {
    test(`a ${rpc} refused for ${what} leaves all room`, async () => {
      for (let i = 0; i < TIMES; i++) {
        const stream = await client.open(targetOf(node), rpc)
        await stream.send(forwardOf(changes()))
        await assert.rejects(stream.receive({ timeoutMs: 20_000 }), { code })
        await stream.end()
      }
      await isAllBack(what)
    })
  }
}

const BACKWARDS: Readonly<Record<string, [code: string, () => Partial<Backward>]>> = {
  ...PASSES,
  'a gradient of another shape': ['TENSOR_SHAPE', () => ({ gradient: states(2, 2, HIDDEN_SIZE) })],
  'a gradient that is not finite': [
    'TENSOR_NONFINITE',
    () => ({ gradient: fromFloat32(new Float32Array(4 * HIDDEN_SIZE).fill(Number.NaN), [1, 4, HIDDEN_SIZE]) }),
  ],
  'a gradient that overflows': [
    'TENSOR_NONFINITE',
    () => ({ gradient: fromFloat32(new Float32Array(4 * HIDDEN_SIZE).fill(3e38), [1, 4, HIDDEN_SIZE]) }),
  ],
  'gradients of no adapter': ['SESSION_REQUEST', () => ({ adapterGradients: true })],
  'sequences that are too long': [
    'SESSION_TOO_LONG',
    () => ({ hidden: states(1, 1000, HIDDEN_SIZE), gradient: states(1, 1000, HIDDEN_SIZE) }),
  ],
}

for (const [what, [code, changes]] of Object.entries(BACKWARDS)) {
  test(`a backward pass refused for ${what} leaves all room`, async () => {
    for (let i = 0; i < TIMES; i++) {
      const stream = await client.open(targetOf(node), 'backward')
      await stream.send(backwardOf(changes()))
      await assert.rejects(stream.receive({ timeoutMs: 20_000 }), { code })
      await stream.end()
    }
    await isAllBack(what)
  })
}

test('a backward pass whose client leaves in the middle leaves all room, and the next one is computed', async () => {
  const shape = [64, 128, HIDDEN_SIZE]
  for (let i = 0; i < TIMES; i++) {
    const stream = await client.open(targetOf(node), 'backward')
    await stream.send(backwardOf({ hidden: states(...shape), gradient: states(...shape) }))
    await once(server.engine, 'run')
    stream.abort(GONE)
  }
  await isAllBack('a client that left')
  const stream = await client.open(targetOf(node), 'backward')
  await stream.send(backwardOf())
  const answer = await stream.receive({ timeoutMs: 20_000 })
  assert.equal(answer?.kind, 'gradients')
  assert.deepEqual(await stream.receive({ timeoutMs: 20_000 }), { kind: 'complete' })
  await stream.end()
  assert.equal(server.blocks.pace.queueMs, 0)
})

/** The bytes of a frame, as they go over the wire. */
function frame(message: Request<'inference'>): Uint8Array {
  const { outgoing, limits } = openingSide('inference', RPC_LIMITS.inference)
  return encodeFrame(message, outgoing, limits).subarray()
}

/** A stream on which any bytes can be sent. */
async function raw(rpc: Rpc) {
  const bytes = await client.libp2p.dialProtocol(node.libp2p.peerId, protocolId(rpc))
  const stream = new FrameStream(bytes, {
    remotePeer: node.peerId,
    side: openingSide(rpc, RPC_LIMITS[rpc]),
    report: assert.fail,
  })
  return { stream, send: (chunk: Uint8Array) => bytes.send(chunk) }
}

/** Ways in which a client that took something goes without a word. */
const DISCONNECTS: Readonly<Record<string, () => Promise<void>>> = {
  'once its session is open': async () => (await opened()).abort(GONE),
  'while it waits for the cache': async () => {
    const holders = [await opened(), await opened()]
    const waiting = await client.open(targetOf(node), 'inference')
    await waiting.send(openOf({ allocTimeoutMs: 60_000 }))
    await assert.rejects(waiting.receive({ timeoutMs: 50 }), { code: 'SWARM_TIMEOUT' })
    waiting.abort(GONE)
    for (const holder of holders) await holder.end()
  },
  'while a step of it is computed': async () => {
    const stream = await opened()
    await stream.send({ kind: 'step', epoch: 1, step: 1, position: 0, push: true, hidden: states(100, HIDDEN_SIZE) })
    stream.abort(GONE)
  },
  'while it is sending a step': async () => {
    const { stream, send } = await raw('inference')
    send(frame(openOf()))
    assert.deepEqual(await stream.receive({ timeoutMs: 20_000 }), { kind: 'opened' })
    const hidden = states(100, HIDDEN_SIZE)
    const step = frame({ kind: 'step', epoch: 1, step: 1, position: 0, push: false, hidden })
    send(step.subarray(0, step.byteLength / 2))
    stream.abort(GONE)
  },
  'while it is sending its first message': async () => {
    const { stream, send } = await raw('inference')
    const bytes = frame(openOf({ prompts: states(1, 8, HIDDEN_SIZE) }))
    send(bytes.subarray(0, bytes.byteLength / 2))
    stream.abort(GONE)
  },
  'while a forward pass is computed': async () => {
    const stream = await client.open(targetOf(node), 'forward')
    await stream.send(forwardOf({ hidden: states(16, 128, HIDDEN_SIZE) }))
    stream.abort(GONE)
  },
  'while it sends an adapter': async () => {
    const stream = await client.open(targetOf(node), 'adapter')
    await stream.send({ kind: 'offer', modelKey: server.modelKey, adapter: `client:${'0'.repeat(64)}` })
    assert.deepEqual(await stream.receive({ timeoutMs: 20_000 }), { kind: 'send' })
    await stream.send({ kind: 'module', name: 'model.layers.0.self_attn.q_proj', ...matrices(HIDDEN_SIZE) })
    stream.abort(GONE)
  },
}

for (const [what, disconnect] of Object.entries(DISCONNECTS)) {
  test(`a client that is gone ${what} leaves all room`, async () => {
    for (let i = 0; i < TIMES; i++) {
      await disconnect()
      // Each on its own: the next one is not to wait for room that this one has not given back yet.
      await isAllBack(what)
    }
  })
}

function matrices(width: number) {
  return { scaling: 1, a: states(2, width), b: states(HIDDEN_SIZE, 2) }
}

/** Adapters that are refused: how they are offered, and what is sent. */
const ADAPTERS: Readonly<Record<string, [code: string, width: number, name: (right: string) => string]>> = {
  'of another shape than the model': ['ADAPTER_MISFIT', HIDDEN_SIZE + 1, (right) => right],
  'that is not what its name says': ['ADAPTER_REFUSED', HIDDEN_SIZE, () => `client:${'0'.repeat(64)}`],
  'without a proper name': ['ADAPTER_REFUSED', HIDDEN_SIZE, () => 'mine'],
}

for (const [what, [code, width, nameOf]] of Object.entries(ADAPTERS)) {
  test(`an adapter ${what} is refused and leaves all room`, async () => {
    const module = { name: 'model.layers.0.self_attn.q_proj', ...matrices(width) }
    const digest = new AdapterDigest()
    digest.add(module)
    const name = digest.name()
    for (let i = 0; i < TIMES; i++) {
      const stream = await client.open(targetOf(node), 'adapter')
      await stream.send({ kind: 'offer', modelKey: server.modelKey, adapter: nameOf(name) })
      const upload = async (): Promise<void> => {
        assert.deepEqual(await stream.receive({ timeoutMs: 20_000 }), { kind: 'send' })
        await stream.send({ kind: 'module', name: 'model.layers.0.self_attn.q_proj', ...matrices(width) })
        await stream.send({ kind: 'complete' })
        await stream.receive({ timeoutMs: 20_000 })
      }
      await assert.rejects(upload(), { code })
      await stream.end()
    }
    assert.deepEqual(server.engine.adapters.names, [])
    assert.equal(server.engine.adapters.has(name), false)
    await isAllBack(what)
  })
}

test('of two sessions that are asked for under one name at once, one is refused, and both give all back', async () => {
  for (let i = 0; i < TIMES; i++) {
    const open = openOf()
    const streams = [await client.open(targetOf(node), 'inference'), await client.open(targetOf(node), 'inference')]
    for (const stream of streams) void stream.send(open)
    const answers = await Promise.allSettled(streams.map((stream) => stream.receive({ timeoutMs: 20_000 })))
    assert.deepEqual(answers.map(({ status }) => status).toSorted(), ['fulfilled', 'rejected'])
    for (const stream of streams) await stream.end()
    await isAllBack('one name twice')
  }
})

test('a session that finds the cache full leaves what others hold', async () => {
  const holders = [await opened(), await opened()]
  for (let i = 0; i < TIMES; i++) {
    const stream = await client.open(targetOf(node), 'inference')
    await stream.send(openOf({ allocTimeoutMs: 10 }))
    await assert.rejects(stream.receive({ timeoutMs: 20_000 }), { code: 'CACHE_FULL' })
    await stream.end()
  }
  for (const holder of holders) await holder.end()
  await isAllBack('a full cache')
})

test('a session refused by a server that is about to stop leaves all room', async () => {
  server.blocks.sessions.drain()
  const stream = await client.open(targetOf(node), 'inference')
  await stream.send(openOf())
  await assert.rejects(stream.receive({ timeoutMs: 20_000 }), { code: 'DRAINING' })
  await stream.end()
  await isAllBack('draining')
})
