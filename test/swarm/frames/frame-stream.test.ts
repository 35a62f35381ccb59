import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline/promises'
import { test, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Stream } from '@libp2p/interface'
import { PetalsError } from '../../../src/base/errors.ts'
import type { PeerTarget } from '../../../src/swarm/address.ts'
import { encodeFrame } from '../../../src/swarm/frames/frame.ts'
import { RemoteError } from '../../../src/swarm/frames/remote-error.ts'
import {
  FrameStream,
  type RequestStream,
  type ServedStream,
  openingSide,
  servingSide,
} from '../../../src/swarm/frames/frame-stream.ts'
import { RPC_LIMITS, protocolId } from '../../../src/swarm/limits.ts'
import type { SwarmNode } from '../../../src/swarm/node/node.ts'
import { echo, eventually, outputOf, positionOf, startNode, stepOf as step, targetOf } from '../kit.ts'

async function pair(
  t: TestContext,
  handler: (stream: ServedStream<'inference'>) => Promise<void>,
): Promise<{ client: SwarmNode; server: SwarmNode; stream: RequestStream<'inference'> }> {
  const [client, server] = [await startNode(t), await startNode(t)]
  await server.handle('inference', handler)
  return { client, server, stream: await client.open(targetOf(server), 'inference') }
}

test('many small frames and a payload of 4 MB come back as they were sent, then null', async (t) => {
  const { stream, server } = await pair(t, echo)
  for (let i = 0; i < 300; i += 1) {
    await stream.send(step(i))
    assert.deepEqual(await stream.receive(), outputOf(i))
  }
  const sent = stream.send(step(7, 4 << 20))
  const bulk = await stream.receive({ timeoutMs: 5000 })
  await sent
  assert.ok(bulk?.kind === 'output')
  assert.equal(bulk.hidden.data.buffer.byteLength, 4 << 20)
  assert.ok(bulk.hidden.data.every((byte) => byte === 7))
  await stream.end()
  assert.equal(await stream.receive(), null)
  assert.equal(await stream.receive(), null)
  await stream.closed
  await eventually(() => server.numServedStreams.inference === 0)
  await assert.rejects(stream.send(step(1)), { code: 'SWARM_STATE' })
})

test('frames sent without waiting for each other arrive complete and in order', async (t) => {
  const { stream } = await pair(t, echo)
  const sends = Array.from({ length: 60 }, (_, i) => stream.send(step(i, i % 3 === 0 ? 400_000 : 10)))
  for (let i = 0; i < 60; i += 1) assert.equal(positionOf(await stream.receive()), i)
  await Promise.all(sends)
})

test('a listener gets what was queued, then each frame, then the end', async (t) => {
  const { stream } = await pair(t, echo)
  await stream.send(step(0))
  await sleep(50)
  const got: unknown[] = []
  const { promise, resolve } = Promise.withResolvers<void>()
  stream.listen({
    onMessage: (message) => {
      got.push(positionOf(message))
    },
    onError: (error) => {
      got.push(error)
    },
    onEnd: (error) => {
      got.push(error)
      resolve()
    },
  })
  await stream.send(step(1))
  await stream.end()
  await promise
  assert.deepEqual(got, [0, 1, null])
  await assert.rejects(stream.receive(), { code: 'SWARM_STATE' })
})

test('a listener that throws ends its stream and nothing else', async (t) => {
  const { stream, client, server } = await pair(t, echo)
  const ends: (Error | null)[] = []
  stream.listen({
    onMessage: () => {
      throw new Error('listener fault')
    },
    onError: () => undefined,
    onEnd: (error) => {
      ends.push(error)
      throw new Error('fault at the end')
    },
  })
  await stream.send(step(0))
  await stream.closed
  assert.equal(ends[0]?.message, 'listener fault')
  const second = await client.open(targetOf(server), 'inference')
  await second.send(step(1))
  assert.equal(positionOf(await second.receive()), 1)
})

test('a handler that fails on purpose tells its code; other faults tell nothing of their inside', async (t) => {
  const faults = [new PetalsError('CACHE_FULL', 'no room\u001B[31m for 9 tokens'), new TypeError('secret path')]
  const { client, server, stream } = await pair(t, async (stream) => {
    await stream.receive()
    throw faults.shift()
  })
  await stream.send(step(0))
  await assert.rejects(stream.receive(), (error) => {
    assert.ok(error instanceof RemoteError)
    assert.equal(error.code, 'CACHE_FULL')
    assert.match(error.message, /no room \[31m for 9 tokens/)
    return true
  })
  assert.equal(await stream.receive(), null)
  const second = await client.open(targetOf(server), 'inference')
  await second.send(step(0))
  await assert.rejects(second.receive(), { code: 'INTERNAL', message: /internal error/ })
})

test('an error message leaves the stream usable', async (t) => {
  const { client, server } = await pair(t, echo)
  await server.libp2p.handle('/faulty/1.0.0', (raw: Stream) => {
    const side = servingSide('inference', RPC_LIMITS.inference)
    const fault = { kind: 'error', code: 'not a code!', message: 'x'.repeat(3000) }
    raw.send(encodeFrame(fault, side.outgoing, side.limits))
    const far = new FrameStream(raw, {
      remotePeer: client.peerId,
      side,
      report: assert.fail,
    }) as unknown as ServedStream<'inference'>
    echo(far).catch(() => undefined)
  })
  const raw = await client.libp2p.dialProtocol(server.libp2p.peerId, '/faulty/1.0.0')
  const side = openingSide('inference', RPC_LIMITS.inference)
  const stream: RequestStream<'inference'> = new FrameStream(raw, {
    remotePeer: server.peerId,
    side,
    report: assert.fail,
  })
  await assert.rejects(stream.receive(), (error) => {
    assert.ok(error instanceof RemoteError)
    assert.equal(error.code, 'REMOTE')
    return error.message.length < 700
  })
  await stream.send(step(5))
  assert.equal(positionOf(await stream.receive()), 5)
})

test('send waits for a reader that does not read, and goes on when it does', async (t) => {
  const gate = Promise.withResolvers<void>()
  let numRead = 0
  const { stream, server } = await pair(t, async (stream) => {
    await gate.promise
    for (let frame = await stream.receive(); frame !== null; frame = await stream.receive()) numRead += 1
  })
  let numSent = 0
  const sending = (async () => {
    for (; numSent < 40; numSent += 1) await stream.send(step(numSent, 1 << 20))
    await stream.end()
  })()
  await eventually(() => numSent >= 8)
  await sleep(400)
  // The receiver queues 8 MB and a window; kernel buffers and one frame come on top.
  assert.ok(numSent < 25, `${numSent} MB were sent to a peer that does not read`)
  gate.resolve()
  await sending
  await stream.closed
  assert.equal(numRead, 40)
  assert.equal(server.numServedStreams.inference ?? 0, 0)
})

test('a peer that takes nothing is given up after the stall limit, and waiting sends fail', async (t) => {
  const { stream } = await pair(t, () => new Promise(() => undefined))
  const sends = Array.from({ length: 30 }, () => stream.send(step(0, 1 << 20), { timeoutMs: 150 }))
  const results = await Promise.allSettled(sends)
  const codes = new Set(
    results.flatMap((result) => (result.status === 'rejected' ? [(result.reason as PetalsError).code] : [])),
  )
  assert.deepEqual([...codes], ['SWARM_TIMEOUT'])
  await stream.closed
  await assert.rejects(stream.receive(), { code: 'SWARM_TIMEOUT' })
})

test('more than the backlog is refused instead of queued without bound', async (t) => {
  const { stream } = await pair(t, () => new Promise(() => undefined))
  const big = step(0, 60 << 20)
  const sends = [1, 2, 3].map(() => stream.send(big, { timeoutMs: 100 }))
  await assert.rejects(sends[2]!, { code: 'SWARM_BACKLOG' })
  await Promise.allSettled(sends)
})

test('receive gives up by its limit or its signal, and the stream goes on', async (t) => {
  const { stream } = await pair(t, echo)
  await assert.rejects(stream.receive({ timeoutMs: 20 }), { code: 'SWARM_TIMEOUT' })
  const reason = new Error('enough')
  await assert.rejects(stream.receive({ signal: AbortSignal.abort(reason) }), reason)
  const controller = new AbortController()
  const receiving = stream.receive({ signal: controller.signal })
  controller.abort(reason)
  await assert.rejects(receiving, reason)
  await stream.send(step(3))
  assert.equal(positionOf(await stream.receive()), 3)
})

test('a stream that ends without its last frame is lost, also in the middle of a frame', async (t) => {
  const { client, server, stream } = await pair(t, async (stream) => {
    await stream.receive()
    stream.abort(new Error('gone'))
  })
  await stream.send(step(0))
  await assert.rejects(stream.receive(), { code: 'SWARM_STREAM_LOST' })
  await assert.rejects(stream.send(step(1)), { code: 'SWARM_STREAM_LOST' })
  await server.libp2p.handle('/half/1.0.0', (raw: Stream) => {
    raw.send(Uint8Array.of(40, 0, 0, 0, 0))
    void raw.close().catch(() => undefined)
  })
  const raw = await client.libp2p.dialProtocol(server.libp2p.peerId, '/half/1.0.0')
  const half = new FrameStream(raw, {
    remotePeer: server.peerId,
    side: openingSide('inference', RPC_LIMITS.inference),
    report: assert.fail,
  })
  await assert.rejects(half.receive(), { code: 'SWARM_STREAM_LOST', message: /middle of a frame/ })
  await half.closed
})

test('a frame stream made late on a stream that is already over still says so', async (t) => {
  const { client, server } = await pair(t, echo)
  await server.libp2p.handle('/brief/1.0.0', (raw: Stream) => {
    raw.abort(new Error('no'))
  })
  const raw = await client.libp2p.dialProtocol(server.libp2p.peerId, '/brief/1.0.0')
  await sleep(50)
  const stream = new FrameStream(raw, {
    remotePeer: server.peerId,
    side: openingSide('inference', RPC_LIMITS.inference),
    report: assert.fail,
  })
  await assert.rejects(stream.receive({ timeoutMs: 20_000 }), { code: 'SWARM_STREAM_LOST' })
  await stream.closed
})

const hostile: Record<string, Uint8Array> = {
  'a header of 4 GB': Uint8Array.of(255, 255, 255, 255, 0, 0, 0, 0),
  'a payload of 4 GB': Uint8Array.of(4, 0, 0, 0, 255, 255, 255, 255),
  noise: Buffer.from('08000000040000001122334455667788aabbccdd', 'hex'),
  'a frame after the last one': Buffer.from('010000000000000000010000000000000000', 'hex'),
}
for (const [name, bytes] of Object.entries(hostile)) {
  test(`${name} ends that stream only`, async (t) => {
    const served: string[] = []
    const { client, server, stream } = await pair(t, async (stream) => {
      try {
        await echo(stream)
        served.push('end')
      } catch (error) {
        served.push((error as PetalsError).code)
      }
    })
    const raw = await client.libp2p.dialProtocol(server.libp2p.peerId, protocolId('inference'))
    raw.send(bytes)
    await eventually(() => served.length === 1)
    assert.equal(served[0], name.startsWith('a frame after') ? 'end' : 'SWARM_FRAME')
    await stream.send(step(1))
    assert.equal(positionOf(await stream.receive()), 1)
    raw.abort(new Error('done'))
  })
}

test('a killed process is a lost stream at once, not when it misses pings', async (t) => {
  const child = spawn(process.execPath, [new URL('../echo-child.ts', import.meta.url).pathname], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.after(() => child.kill('SIGKILL'))
  const [line] = await new Promise<string[]>((resolve) =>
    createInterface(child.stdout).once('line', (text) => resolve([text])),
  )
  const target = JSON.parse(line!) as PeerTarget
  const client = await startNode(t)
  const gone: string[] = []
  client.connections.onDisconnect((peerId) => gone.push(peerId))
  const stream = await client.open(target, 'inference')
  await stream.send(step(1))
  assert.equal(positionOf(await stream.receive()), 1)
  const waiting = stream.receive()
  child.kill('SIGKILL')
  const killedMs = performance.now()
  await assert.rejects(waiting, { code: 'SWARM_STREAM_LOST' })
  // A ping is given up after 5 s.
  assert.ok(performance.now() - killedMs < 4000)
  await eventually(() => gone.includes(target.peerId))
})
