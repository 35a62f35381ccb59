import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { Connection, Stream } from '@libp2p/interface'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { errorCode } from '../../src/base/errors.ts'
import { openCheckpoint } from '../../src/checkpoint/checkpoint.ts'
import { CPU } from '../../src/runtime/device.ts'
import { serve } from '../../src/server/serve.ts'
import { CODECS } from '../../src/swarm/frames/codec.ts'
import { encodeFrame } from '../../src/swarm/frames/frame.ts'
import { FrameStream, openingSide } from '../../src/swarm/frames/frame-stream.ts'
import { loopback } from '../../src/swarm/frames/loopback.ts'
import type { AnyMessage } from '../../src/swarm/frames/messages.ts'
import { RPCS, RPC_LIMITS, type Rpc, protocolId } from '../../src/swarm/limits.ts'
import { loadIdentity } from '../../src/swarm/node/identity.ts'
import { fromFloat32 } from '../../src/tensor/tensor.ts'
import { eventually, silent, startNode } from '../swarm/kit.ts'
import { SAMPLES } from '../swarm/frames/samples.ts'

const OF_BATCHES: ReadonlySet<Rpc> = new Set(['forward', 'probe', 'backward'])
const FOLDER = new URL('../fixtures/llama', import.meta.url).pathname
const HIDDEN_SIZE = 64
/** One that the server holds. */
const ADAPTER = 'held'
const NUM_FRAMES = 20_000
const AT_ONCE = 64
/** Whoever has not answered by then hangs. */
const ANSWER_MS = 30_000

/** A seed of one's own, or that of a failed run, repeats it. */
const SEED = Number(process.env['FUZZ_SEED'] ?? 20_261_128)

/** Mulberry32: integers below `n`, the same for the same seed. */
function newRandom(seed: number): (n: number) => number {
  let state = seed >>> 0
  return (n) => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 4294967296) * n)
  }
}

const random = newRandom(SEED)

/** Messages that get as far as they can: of this server's model, blocks and width. */
function fitting(rpc: Rpc, modelKey: string, sessionId: string): AnyMessage[] {
  const hidden = fromFloat32(new Float32Array(2 * HIDDEN_SIZE).fill(0.5), [2, HIDDEN_SIZE])
  const prompts = fromFloat32(new Float32Array(HIDDEN_SIZE).fill(0.5), [1, 1, HIDDEN_SIZE])
  const batch = { ...hidden, shape: [1, 2, HIDDEN_SIZE] }
  return SAMPLES[rpc].requests.map((message): AnyMessage => {
    const fits: Record<string, unknown> = { ...message }
    if ('prompts' in message) fits['prompts'] = [undefined, prompts, message['prompts']][random(3)]
    if ('adapter' in message && rpc !== 'adapter') fits['adapter'] = [undefined, ADAPTER, message['adapter']][random(3)]
    if ('adapterGradients' in message) fits['adapterGradients'] = random(2) === 0
    if ('modelKey' in message) fits['modelKey'] = modelKey
    if ('end' in message) Object.assign(fits, { start: 0, end: 1, maxLength: 8 + random(64) })
    if ('hidden' in message) fits['hidden'] = OF_BATCHES.has(rpc) ? batch : hidden
    if ('gradient' in message) fits['gradient'] = batch
    if ('sessionId' in message) fits['sessionId'] = sessionId
    if ('step' in message) Object.assign(fits, { step: 1 + random(4), epoch: random(3) })
    return fits as unknown as AnyMessage
  })
}

/** Some bytes in place of others, cut out, put in, or repeated. */
function mutated(frame: Uint8Array): Uint8Array {
  const bytes = Buffer.from(frame)
  for (let left = 1 + random(4); left > 0; left--) {
    // Headers are where the checks are.
    const at = random(2) === 0 ? random(Math.min(bytes.length, 64)) : random(bytes.length)
    bytes[at] = random(3) === 0 ? 255 : random(256)
  }
  const at = random(bytes.length)
  switch (random(6)) {
    case 0:
      return bytes.subarray(0, at)
    case 1:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(Math.min(bytes.length, at + 1 + random(8)))])
    case 2:
      return Buffer.concat([bytes, bytes])
    default:
      return bytes
  }
}

function garbage(): Uint8Array {
  const bytes = Buffer.from(Array.from({ length: 1 + random(300) }, () => random(256)))
  // A prelude that is within the limits gets further.
  if (bytes.length > 9 && random(2) === 0) bytes.set([bytes.length - 8, 0, 0, 0, 0, 0, 0, 0])
  return bytes
}

function usedBytes(): number {
  setFlagsFromString('--expose-gc')
  const gc = runInNewContext('gc') as () => void
  gc()
  gc()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

test(`random and mutated frames of every protocol are answered or refused by a code (seed ${SEED})`, async (t) => {
  const node = await startNode(t)
  const handlers = new Map<string, (stream: Stream, connection: Connection) => void>()
  const handle = node.libp2p.handle.bind(node.libp2p)
  node.libp2p.handle = async (protocol, handler, options) => {
    handlers.set(String(protocol), handler as never)
    await handle(protocol, handler, options)
  }
  const checkpoint = await openCheckpoint(FOLDER)
  const span = { start: 0, end: 1, device: CPU, dtype: 'float32', threads: 1, spin: false, cacheTokens: 4096 } as const
  const server = await serve(node, { checkpoint, ...span, allowClientAdapters: true, adapterBytes: 1 << 20 }, silent)
  t.after(() => server.stop())
  const matrix = fromFloat32(new Float32Array(2 * HIDDEN_SIZE).fill(0.1), [2, HIDDEN_SIZE])
  const module = { name: 'model.layers.0.self_attn.q_proj', scaling: 1, a: matrix, b: { ...matrix, shape: [64, 2] } }
  server.engine.adapters.add({ name: ADAPTER, modules: [module] })
  const peers = await Promise.all(
    Array.from({ length: AT_ONCE }, async () => peerIdFromPrivateKey(await loadIdentity())),
  )
  const codes = new Map<string, number>()
  const sent = { frames: 0 }

  const attack = async (rpc: Rpc, peer: number): Promise<void> => {
    const [near, far] = loopback()
    const side = openingSide(rpc, RPC_LIMITS[rpc])
    const client = new FrameStream(near, { remotePeer: 'server', side, report: assert.fail })
    handlers.get(protocolId(rpc))!(far as Stream, { remotePeer: peers[peer] } as unknown as Connection)
    const messages = fitting(rpc, server.modelKey, random(1e9).toString(16).padStart(32, '0'))
    const encode = (message: AnyMessage): Uint8Array =>
      encodeFrame(message, CODECS[rpc].requests, RPC_LIMITS[rpc]).subarray()
    const frames: Uint8Array[] = []
    if (random(4) > 0) frames.push(encode(messages[0]!))
    for (let left = 1 + random(3); left > 0; left--) {
      const message = messages[random(messages.length)]!
      frames.push(random(4) === 0 ? garbage() : mutated(encode(message)))
    }
    sent.frames += frames.length
    frames.push(encode({ kind: 'end' }))
    near.send(Buffer.concat(frames))
    await near.close()
    const late = new AbortController()
    const timer = setTimeout(() => late.abort(new Error(`${rpc} hangs (frame ${sent.frames})`)), ANSWER_MS)
    try {
      // Whatever answers come, the stream ends, by its last frame or by an error that has a code.
      while ((await client.receive({ signal: late.signal })) !== null) continue
    } catch (error) {
      if (late.signal.aborted) throw late.signal.reason
      const code = errorCode(error)
      assert.notEqual(code, 'INTERNAL', `${rpc}: ${String(error)}`)
      codes.set(code, (codes.get(code) ?? 0) + 1)
    } finally {
      clearTimeout(timer)
      client.abort(new Error('done'))
    }
  }

  const many = async (until: number): Promise<void> => {
    while (sent.frames < until) await Promise.all(peers.map((_, peer) => attack(RPCS[random(RPCS.length)]!, peer)))
    await eventually(() => server.blocks.sessions.count === 0 && node.peerGuard.received.bytes === 0)
  }
  await many(NUM_FRAMES / 4)
  const before = usedBytes()
  await many(NUM_FRAMES)
  const grown = usedBytes() - before
  assert.ok(grown < 24 << 20, `${grown} bytes more after ${sent.frames} frames`)
  const { forward, backward } = server.blocks.stats.passes
  for (const { count } of [forward, backward]) assert.ok(count > 50, JSON.stringify(server.blocks.stats.passes))
  assert.equal(server.engine.cacheTokensLeft, 4096)
  assert.ok(codes.get('SWARM_FRAME')! > 1000, JSON.stringify([...codes]))
  t.diagnostic(
    `seed ${SEED}: ${sent.frames} frames; ${JSON.stringify(Object.fromEntries(codes))}; grown ${grown} bytes`,
  )
})
