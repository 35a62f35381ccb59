import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { PetalsError } from '../../src/base/errors.ts'
import { openCheckpoint } from '../../src/checkpoint/checkpoint.ts'
import { createInferenceSession } from '../../src/client/session/open.ts'
import { SwarmClient } from '../../src/client/blocks/swarm-client.ts'
import { Engine } from '../../src/engine/engine.ts'
import { CPU } from '../../src/runtime/device.ts'
import { type RunningServer, type ServeOptions, serve } from '../../src/server/serve.ts'
import { serveContact } from '../../src/swarm/node/contact.ts'
import { loadIdentity } from '../../src/swarm/node/identity.ts'
import { newTrace } from '../../src/swarm/node/trace.ts'
import { generateSwarmKey, parseSwarmKey } from '../../src/swarm/guards/swarm-key.ts'
import { type SwarmLogger, type SwarmNode, type SwarmNodeOptions, createSwarmNode } from '../../src/swarm/node/node.ts'
import { asFloat32, fromFloat32 } from '../../src/tensor/tensor.ts'
import { eventually, silent, startNode } from '../swarm/kit.ts'

const FOLDER = new URL('../fixtures/llama', import.meta.url).pathname
const NUM_BLOCKS = 3
const HIDDEN_SIZE = 64

interface Served {
  readonly node: SwarmNode
  readonly server: RunningServer
}

type Load = NonNullable<Parameters<typeof serve>[3]>

async function startServer(
  t: TestContext,
  [start, end]: [number, number],
  node: SwarmNode,
  options: Partial<ServeOptions> = {},
  load?: Load,
  logger = silent,
): Promise<Served> {
  const checkpoint = await openCheckpoint(FOLDER)
  const server = await serve(
    node,
    {
      checkpoint,
      start,
      end,
      device: CPU,
      dtype: 'float32',
      threads: 1,
      spin: false,
      cacheTokens: 1024,
      ...options,
    },
    logger,
    load,
  )
  t.after(() => server.stop())
  return { node, server }
}

async function connect(
  t: TestContext,
  server: Served,
  options: { logger?: SwarmLogger; swarmKey?: Uint8Array } = {},
): Promise<SwarmClient> {
  const client = await SwarmClient.connect({
    bootstrap: server.node.multiaddrs,
    modelKey: server.server.modelKey,
    numBlocks: NUM_BLOCKS,
    logger: silent,
    ...options,
  })
  t.after(() => client.close())
  return client
}

const step = (tokens = 1) =>
  fromFloat32(
    Float32Array.from({ length: tokens * HIDDEN_SIZE }, (_, i) => Math.cos(i)),
    [tokens, HIDDEN_SIZE],
  )

async function openSession(client: SwarmClient) {
  const { config } = await openCheckpoint(FOLDER)
  return createInferenceSession(
    client,
    config,
    { start: 0, end: NUM_BLOCKS },
    { maxLength: 64, recoveryTimeoutMs: 20_000 },
  )
}

test('a span whose engine is lost is loaded again, and a session over it goes on with the same result', async (t) => {
  const engines: Engine[] = []
  let failures = 1
  const load: Load = async (options) => {
    if (engines.length > 0 && failures-- > 0) throw new PetalsError('ENGINE_LOAD', 'the device is not back yet')
    const engine = await Engine.load(options)
    engines.push(engine)
    return engine
  }
  const served = await startServer(t, [0, NUM_BLOCKS], await startNode(t), { reloadPausesMs: [10, 10, 10] }, load)
  const client = await connect(t, served)
  const session = await openSession(client),
    undisturbed = await openSession(client)
  await session.step(step(4))
  await undisturbed.step(step(4))
  const wanted = await undisturbed.step(step())
  await undisturbed.close()

  engines[0]!.emit('failed', new PetalsError('ENGINE_LOST', 'the engine thread died: in a test'))
  assert.equal(served.server.announcer.state, 'JOINING')
  const output = await session.step(step())
  // A replay as one prefill differs from stepping by rounding.
  const expected = asFloat32(wanted)
  asFloat32(output).forEach((value, i) =>
    assert.ok(Math.abs(value - expected[i]!) < 1e-4, `value ${i}: ${value}, expected ${expected[i]}`),
  )
  assert.equal(engines.length, 2)
  assert.equal(served.server.engine, engines[1])
  assert.equal(served.server.keeper.numReloads, 1)
  assert.equal(served.server.announcer.state, 'ONLINE')
  await assert.rejects(engines[0]!.openSession({ start: 0, end: 1, maxLength: 8, timeoutMs: 0 }), {
    code: 'ENGINE_CLOSED',
  })
  await session.close()
})

test('a device that fails run after run is taken for lost; one failure, or a request too large, is not', async (t) => {
  const served = await startServer(t, [0, 1], await startNode(t), { reloadPausesMs: [10] })
  const { engine } = served.server
  const fault = (code = 'RUNTIME') => engine.emit('fault', new PetalsError(code, 'onnxruntime Run: a kernel failed'))
  fault()
  fault()
  for (let i = 0; i < 5; i++) fault('RUNTIME_MEMORY')
  const session = await engine.openSession({ start: 0, end: 1, maxLength: 8, timeoutMs: 0 })
  await session.step(step(2))
  fault()
  assert.equal(served.server.announcer.state, 'ONLINE')
  fault()
  fault()
  assert.equal(served.server.announcer.state, 'JOINING')
  await eventually(() => served.server.announcer.state === 'ONLINE' && served.server.engine !== engine)
})

test('a span that cannot be loaded again is given up, and requests say why', async (t) => {
  let first = true
  const load: Load = async (options) => {
    if (!first) throw new PetalsError('ENGINE_LOAD', 'no such device')
    first = false
    return await Engine.load(options)
  }
  const served = await startServer(t, [0, NUM_BLOCKS], await startNode(t), { reloadPausesMs: [5, 5] }, load)
  const client = await startNode(t, { listen: [] })
  const stream = await client.open(served.node, 'inference')
  const { modelKey } = served.server
  const blocks = { start: 0, end: 1, maxLength: 8, allocTimeoutMs: 0 }
  const open = { kind: 'open', modelKey, ...blocks, trace: newTrace() } as const
  await stream.send({ ...open, sessionId: 'a'.repeat(32) })
  assert.equal((await stream.receive())?.kind, 'opened')
  served.server.engine.emit('failed', new PetalsError('ENGINE_LOST', 'the engine thread died: in a test'))
  await assert.rejects(stream.receive({ timeoutMs: 5000 }), { code: 'ENGINE_LOST' })
  assert.equal((await served.server.failed).code, 'SPAN_LOST')
  const late = await client.open(served.node, 'inference')
  await late.send({ ...open, sessionId: 'b'.repeat(32) })
  await assert.rejects(late.receive({ timeoutMs: 5000 }), { code: 'ENGINE_LOST' })
  assert.deepEqual([...served.server.blocks.stats.failures], [['ENGINE_LOST', 1]])
})

test('an abort while loading undoes everything at once and leaves no record behind', async (t) => {
  const bootstrap = await startServer(t, [0, 1], await startNode(t))
  const node = await startNode(t, { bootstrap: bootstrap.node.multiaddrs })
  await node.ready()
  const states = () => bootstrap.server.discovery.directory.get(node.peerId)?.state
  const stop = new AbortController()
  const loading = startServer(t, [1, 2], node, { signal: stop.signal }, async ({ signal }) => {
    const { promise, reject } = Promise.withResolvers<Engine>()
    signal!.addEventListener('abort', () => reject(signal!.reason as Error))
    return promise
  })
  loading.catch(() => undefined)
  await eventually(() => states() === 'JOINING')
  stop.abort(new Error('Ctrl-C'))
  await assert.rejects(loading, /Ctrl-C/)
  await eventually(() => states() === 'OFFLINE')
  assert.deepEqual(Object.keys(node.numServedStreams), [])
})

test('a server whose announced address leads nowhere serves all the same, and says so', async (t) => {
  const hub = await startNode(t)
  await hub.records.start(hub)
  await serveContact(hub, '1.2.3')
  const node = await createSwarmNode({
    identity: await loadIdentity(),
    listen: ['/ip4/127.0.0.1/tcp/0'],
    announce: ['/ip4/127.0.0.1/tcp/1'],
    bootstrap: hub.multiaddrs,
    logger: silent,
  })
  await node.start()
  t.after(() => node.stop())
  await node.ready()
  const { server } = await startServer(t, [0, 3], node)
  assert.equal(server.announcer.state, 'ONLINE')
  const record = () => hub.records.store.recordsOf(node.peerId)[0]
  await eventually(() => record()?.state === 'ONLINE' && record()?.reachable === false)
  assert.deepEqual(server.discovery.unserved(), [])
  // A drain is told before it is waited for.
  const drained = server.drain(0)
  await eventually(() => record()?.state === 'DRAINING')
  assert.deepEqual(server.discovery.unserved(), [0, 1, 2])
  await drained
})

test('Engine.load ends with its signal, in mid-load too', async () => {
  const checkpoint = await openCheckpoint(FOLDER)
  const stop = new AbortController()
  const options = {
    checkpoint,
    start: 0,
    end: 3,
    device: CPU,
    dtype: 'float32' as const,
    threads: 1,
    spin: false,
    cacheTokens: 128,
  }
  const loading = Engine.load({ ...options, signal: stop.signal })
  setTimeout(() => stop.abort(new Error('Ctrl-C')), 5)
  await assert.rejects(loading, /Ctrl-C/)
  await assert.rejects(Engine.load({ ...options, signal: stop.signal }), /Ctrl-C/)
})

test('one id finds a request in all logs, its session is in none; records say how fast servers are', async (t) => {
  const lines: { node: string; trace?: string; text: string }[] = []
  const loggerOf = (node: string): SwarmLogger => {
    const log = (fields: { trace?: string }, message: string) =>
      lines.push({ node, ...fields, text: `${JSON.stringify(fields)} ${message}` })
    return { debug: log, info: log, warn: log } as unknown as SwarmLogger
  }
  const swarmKey = parseSwarmKey(generateSwarmKey(), 'swarm.key')
  const nodeOptions: Partial<SwarmNodeOptions> = { swarmKey }
  const first = await startServer(t, [0, 2], await startNode(t, nodeOptions), {}, undefined, loggerOf('first'))
  const node = await startNode(t, { ...nodeOptions, bootstrap: first.node.multiaddrs })
  await node.ready()
  const second = await startServer(t, [2, 3], node, {}, undefined, loggerOf('second'))
  const client = await connect(t, first, { logger: loggerOf('client'), swarmKey })
  await eventually(() => client.records().filter(({ state }) => state === 'ONLINE').length === 2)
  for (const { start, end, prefillRate, decodeRate, throughput } of client.records()) {
    assert.ok(prefillRate > 0 && decodeRate > 0)
    assert.equal(throughput, decodeRate / (end - start))
  }
  const session = await openSession(client)
  await session.step(step(3))
  await session.step(step())
  await session.close()
  await eventually(
    () => lines.filter(({ node, text }) => node !== 'client' && text.includes('session closed')).length >= 2,
  )
  const { trace } = session
  for (const name of ['client', 'first', 'second'])
    assert.ok(
      lines.some((line) => line.node === name && line.trace === trace),
      name,
    )
  assert.doesNotMatch(lines.map(({ text }) => text).join('\n'), /[0-9a-f]{32}/)
  for (const { server } of [first, second]) {
    assert.deepEqual(
      [server.blocks.stats.sessionsOpened, server.blocks.stats.steps, server.blocks.stats.stepTokens],
      [1, 2, 4],
    )
  }
})
