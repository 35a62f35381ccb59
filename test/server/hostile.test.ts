import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { test } from 'node:test'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { openCheckpoint } from '../../src/checkpoint/checkpoint.ts'
import { CPU } from '../../src/runtime/device.ts'
import { serve } from '../../src/server/serve.ts'
import { encodeFrame } from '../../src/swarm/frames/frame.ts'
import { FrameStream, openingSide } from '../../src/swarm/frames/frame-stream.ts'
import type { AnyMessage, Request } from '../../src/swarm/frames/messages.ts'
import { RemoteError } from '../../src/swarm/frames/remote-error.ts'
import { RPC_LIMITS, type Rpc, protocolId } from '../../src/swarm/limits.ts'
import { loadIdentity } from '../../src/swarm/node/identity.ts'
import type { SwarmNode } from '../../src/swarm/node/node.ts'
import { newTrace } from '../../src/swarm/node/trace.ts'
import { signRecord } from '../../src/swarm/records/record.ts'
import { fromFloat32 } from '../../src/tensor/tensor.ts'
import { mutationsOf } from '../swarm/frames/mutations.ts'
import { type Sample, allSamples } from '../swarm/frames/samples.ts'
import { eventually, recordOf, silent, startNode, targetOf } from '../swarm/kit.ts'

const FOLDER = new URL('../fixtures/llama', import.meta.url).pathname
const HIDDEN_SIZE = 64

/** A stream on which any bytes can be sent, and what comes back is read as messages. */
async function openRaw(client: SwarmNode, server: SwarmNode, rpc: Rpc) {
  const raw = await client.libp2p.dialProtocol(server.libp2p.peerId, protocolId(rpc))
  const side = openingSide(rpc, RPC_LIMITS[rpc])
  const stream = new FrameStream(raw, { remotePeer: server.peerId, side, report: assert.fail })
  const send = (message: AnyMessage) => raw.send(encodeFrame(message, side.outgoing, side.limits))
  return { raw, stream, send }
}

test('every request of every rpc, falsified in every field, is refused by name, and all is given back', async (t) => {
  const node = await startNode(t)
  const checkpoint = await openCheckpoint(FOLDER)
  const span = { start: 0, end: 1, device: CPU, dtype: 'float32', threads: 1, spin: false, cacheTokens: 1024 } as const
  const server = await serve(node, { checkpoint, ...span }, silent)
  t.after(() => server.stop())
  const client = await startNode(t, { listen: [] })
  await client.connect(node.multiaddrs[0]!)
  const open = (i: number): Request<'inference'> => ({
    kind: 'open',
    sessionId: i.toString(16).padStart(32, '0'),
    modelKey: server.modelKey,
    start: 0,
    end: 1,
    maxLength: 32,
    allocTimeoutMs: 0,
    trace: newTrace(),
  })
  let count = 0
  const attack = async (sample: Sample, { what, field, bytes }: ReturnType<typeof mutationsOf>[number]) => {
    const { raw, stream, send } = await openRaw(client, node, sample.rpc)
    count += 1
    if (sample.rpc === 'inference' && sample.message.kind !== 'open') {
      send(open(count))
      assert.deepEqual(await stream.receive({ timeoutMs: 20_000 }), { kind: 'opened' })
    }
    raw.send(bytes)
    await assert.rejects(
      stream.receive({ timeoutMs: 20_000 }),
      (error) => error instanceof RemoteError && error.code === 'SWARM_FRAME' && error.message.includes(`"${field}"`),
      `${sample.rpc} ${sample.message.kind}: ${what}`,
    )
    await stream.closed
  }
  for (const sample of allSamples().filter(({ side }) => side === 'requests'))
    for (const mutation of mutationsOf(sample)) await attack(sample, mutation)
  assert.ok(count > 200, `${count} forms`)
  await eventually(() => server.blocks.sessions.count === 0 && server.engine.cacheTokensLeft === 1024)

  const stream = await client.open(targetOf(node), 'inference')
  await stream.send(open(0))
  assert.equal((await stream.receive())?.kind, 'opened')
  const hidden = fromFloat32(new Float32Array(HIDDEN_SIZE).fill(0.5), [1, HIDDEN_SIZE])
  await stream.send({ kind: 'step', epoch: 1, step: 1, position: 0, push: false, hidden })
  assert.equal((await stream.receive())?.kind, 'output')
  await stream.end()
})

test('a message in the wrong place is refused, and costs its own stream only', async (t) => {
  const node = await startNode(t)
  const checkpoint = await openCheckpoint(FOLDER)
  const span = { start: 0, end: 1, device: CPU, dtype: 'float32', threads: 1, spin: false, cacheTokens: 1024 } as const
  const server = await serve(node, { checkpoint, ...span }, silent)
  t.after(() => server.stop())
  const client = await startNode(t, { listen: [] })
  await client.connect(node.multiaddrs[0]!)
  const inference = await client.open(targetOf(node), 'inference')
  await inference.send({ kind: 'ack', until: 1 })
  await assert.rejects(inference.receive(), { code: 'SESSION_REQUEST', message: /begins with "open"/ })
  const adapter = await client.open(targetOf(node), 'adapter')
  await adapter.send({ kind: 'complete' })
  await assert.rejects(adapter.receive(), { code: 'SESSION_REQUEST', message: /begins with "offer"/ })
  const { stream, send } = await openRaw(client, node, 'push')
  send({ kind: 'open', sessionId: 'f'.repeat(32) } as AnyMessage)
  await assert.rejects(stream.receive(), { code: 'SESSION_UNKNOWN' })
  assert.equal(server.blocks.sessions.count, 0)
})

test('a server that is asked to push to somebody tells nothing of what there is at an address', async (t) => {
  const node = await startNode(t)
  const checkpoint = await openCheckpoint(FOLDER)
  const span = { start: 0, end: 1, device: CPU, dtype: 'float32', threads: 1, spin: false, cacheTokens: 1024 } as const
  const server = await serve(node, { checkpoint, ...span }, silent)
  t.after(() => server.stop())
  const client = await startNode(t, { listen: [] })
  await client.connect(node.multiaddrs[0]!)
  const talker = createServer((socket) => socket.end('220 a service that is no peer\r\n')).listen(0, '127.0.0.1')
  await once(talker, 'listening')
  t.after(() => talker.close())
  const { port } = talker.address() as AddressInfo
  const refusals = []
  // An open port, a closed one, and a network that the server is no part of.
  for (const address of [`/ip4/127.0.0.1/tcp/${port}`, '/ip4/127.0.0.1/tcp/1', `/ip4/10.0.0.1/tcp/${port}`]) {
    const key = await loadIdentity()
    const peerId = peerIdFromPrivateKey(key).toString()
    const record = recordOf(peerId, { modelKey: server.modelKey, multiaddrs: [address] })
    await node.records.store.add(await signRecord(record, key))
    const stream = await client.open(targetOf(node), 'inference')
    const { modelKey } = server
    const sessionId = peerId.length.toString(16).padStart(32, '0')
    const open = { sessionId, modelKey, start: 0, end: 1, maxLength: 8, allocTimeoutMs: 0, trace: newTrace() }
    await stream.send({ kind: 'open', ...open })
    assert.equal((await stream.receive())?.kind, 'opened')
    await stream.send({ kind: 'route', request: 1, peerId, sessionId: 'f'.repeat(32) })
    refusals.push(await stream.receive({ timeoutMs: 20_000 }))
    await stream.end()
    await eventually(() => server.blocks.sessions.count === 0)
  }
  const message = 'route: the next server could not be reached from here'
  for (const refusal of refusals)
    assert.deepEqual(refusal, { kind: 'refused', request: 1, code: 'HOP_UNREACHABLE', message })
})
