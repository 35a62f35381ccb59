import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pino } from 'pino'
import { AutoDistributedModelForCausalLM } from '../../src/client/model/model.ts'
import type { RouteHop } from '../../src/client/session/server/route-hop.ts'
import type { Engine } from '../../src/engine/engine.ts'
import { loadIdentity } from '../../src/swarm/node/identity.ts'
import { createSwarmNode } from '../../src/swarm/node/node.ts'
import { DEMO, type TestServer, goldenTexts, startServers } from './kit.ts'

const NEW_TOKENS = 24

/** Blocks computed times tokens, from now on. */
function countTokens(engine: Engine): () => number {
  let count = 0
  engine.on('run', ({ tokens }) => {
    count += tokens
  })
  return () => count
}

function protocolsTo({ node }: TestServer): string[] {
  return node.libp2p
    .getConnections()
    .flatMap(({ streams }) => streams.map(({ protocol, direction }) => `${direction} ${protocol}`))
    .filter((name) => /inference|push/.test(name))
    .toSorted()
}

const spans = (hops: readonly RouteHop[]) => hops.map(({ peerId, start, end }) => ({ peerId, start, end }))

test('a node that serves and generates computes its own blocks in process, and others the rest', async () => {
  const [text] = await goldenTexts()
  const expected = text!.greedy_ids.slice(text!.input_ids.length, text!.input_ids.length + NEW_TOKENS)
  // The stranger holds everything and would be the shorter way.
  const swarm = await startServers(DEMO, [
    [0, 4],
    [4, 8],
    [0, 8],
  ])
  const [own, rest, stranger] = swarm.servers as [TestServer, TestServer, TestServer]
  const counts = [own, rest, stranger].map(({ server }) => countTokens(server.engine))
  const model = await AutoDistributedModelForCausalLM.fromPretrained(DEMO, { node: own.node, threads: 1 })
  try {
    assert.ok(model.swarm.records().some(({ peerId }) => peerId === own.node.peerId))
    let hops: readonly RouteHop[] = []
    model.on('route', (route) => {
      hops = route
    })
    const session = model.inferenceSession({ maxLength: 128 })
    const ids: number[] = []
    for await (const { tokenIds } of session.generate(text!.input_ids, { maxNewTokens: NEW_TOKENS, eosTokenIds: [] }))
      ids.push(...tokenIds)
    assert.deepEqual(ids, expected)
    assert.deepEqual(spans(hops)[0], { peerId: own.node.peerId, start: 0, end: 4 })
    assert.equal(counts[0]!(), text!.input_ids.length + NEW_TOKENS - 1)
    // One stream out to the next server's session, one out that pushes to it; none to itself, none in.
    assert.deepEqual(protocolsTo(own), ['outbound /petals-node/inference/3.0.0', 'outbound /petals-node/push/3.0.0'])
    assert.equal(own.node.numServedStreams.inference, 1)
    await session.close()

    // The client's end leaves the server as it was.
    await model.close()
    assert.ok(own.node.isStarted)
    const again = await AutoDistributedModelForCausalLM.fromPretrained(DEMO, { bootstrap: swarm.bootstrap, threads: 1 })
    assert.deepEqual(
      (await again.generate(text!.prompt, { maxNewTokens: NEW_TOKENS, eosTokenIds: [] })).tokenIds,
      expected,
    )
    await again.close()
  } finally {
    await model.close()
    await swarm.stop()
  }
})

test('pushes to the own span work in every direction: from another server, and from itself', async () => {
  const [text] = await goldenTexts()
  const expected = text!.greedy_ids.slice(text!.input_ids.length, text!.input_ids.length + NEW_TOKENS)
  const swarm = await startServers(DEMO, [
    [0, 3],
    [3, 8],
  ])
  const [other, own] = swarm.servers as [TestServer, TestServer]
  const model = await AutoDistributedModelForCausalLM.fromPretrained(DEMO, { node: own.node, threads: 1 })
  try {
    let hops: readonly RouteHop[] = []
    model.on('route', (route) => {
      hops = route
    })
    const session = model.inferenceSession({ maxLength: 128, cuts: [3, 5] })
    const ids: number[] = []
    for await (const { tokenIds } of session.generate(text!.input_ids, { maxNewTokens: NEW_TOKENS, eosTokenIds: [] }))
      ids.push(...tokenIds)
    assert.deepEqual(ids, expected)
    assert.deepEqual(spans(hops), [
      { peerId: other.node.peerId, start: 0, end: 3 },
      { peerId: own.node.peerId, start: 3, end: 5 },
      { peerId: own.node.peerId, start: 5, end: 8 },
    ])
    assert.deepEqual(
      hops.map(({ pushes }) => pushes),
      [true, true, false],
    )
    assert.deepEqual(protocolsTo(own), ['inbound /petals-node/push/3.0.0', 'outbound /petals-node/inference/3.0.0'])
    await session.close()
    const hidden = await model.embed([text!.input_ids])
    const before = own.node.traffic.forward.bytesSent
    await model.layers.slice(3).forward(hidden)
    assert.equal(own.node.traffic.forward.bytesSent, before)
  } finally {
    await model.close()
    await swarm.stop()
  }
})

test("a node of the caller's must be started, and takes the place of bootstrap addresses", async () => {
  const node = await createSwarmNode({ identity: await loadIdentity(), listen: [], logger: pino({ level: 'silent' }) })
  await assert.rejects(AutoDistributedModelForCausalLM.fromPretrained(DEMO, { node }), { code: 'SWARM_STATE' })
  await assert.rejects(AutoDistributedModelForCausalLM.fromPretrained(DEMO, {}), {
    code: 'USAGE',
    message: /bootstrap/,
  })
})
