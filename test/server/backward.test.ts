import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { AdapterDigest, type LoadedModule } from '../../src/checkpoint/adapter/adapter-digest.ts'
import { openCheckpoint } from '../../src/checkpoint/checkpoint.ts'
import { openGolden } from '../../src/client/verification/golden.ts'
import { CPU } from '../../src/runtime/device.ts'
import { serve } from '../../src/server/serve.ts'
import type { Answer, Request } from '../../src/swarm/frames/messages.ts'
import type { SwarmNode } from '../../src/swarm/node/node.ts'
import { newTrace } from '../../src/swarm/node/trace.ts'
import { type Tensor, asFloat32, fromFloat32 } from '../../src/tensor/tensor.ts'
import { eventually, silent, startNode, targetOf } from '../swarm/kit.ts'

const FOLDER = join(import.meta.dirname, '../fixtures/llama')
const HIDDEN_SIZE = 64
const span = { start: 0, end: 3, device: CPU, dtype: 'float32', threads: 1, spin: false, cacheTokens: 256 } as const

type Backward = Request<'backward'>

function worstError(actual: Tensor, expected: Tensor): number {
  const wanted = asFloat32(expected)
  const largest = wanted.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
  return asFloat32(actual).reduce((worst, value, i) => Math.max(worst, Math.abs(value - wanted[i]!)), 0) / largest
}

async function ask(client: SwarmNode, node: SwarmNode, request: Backward): Promise<Answer<'backward'>[]> {
  const stream = await client.open(targetOf(node), 'backward')
  await stream.send(request)
  const answers: Answer<'backward'>[] = []
  for (let answer = await stream.receive({ timeoutMs: 60_000 }); answer !== null; answer = await stream.receive())
    answers.push(answer)
  await stream.end()
  return answers
}

/** Brings an adapter of one module, in place of the one before. */
async function bring(client: SwarmNode, node: SwarmNode, modelKey: string, module: LoadedModule, replaces?: string) {
  const digest = new AdapterDigest()
  digest.add(module)
  const adapter = digest.name()
  const stream = await client.open(targetOf(node), 'adapter')
  await stream.send({ kind: 'offer', modelKey, adapter, replaces })
  assert.deepEqual(await stream.receive(), { kind: 'send', ...(replaces !== undefined && { hasReplaced: true }) })
  await stream.send({ kind: 'module', ...module })
  await stream.send({ kind: 'complete' })
  assert.deepEqual(await stream.receive(), { kind: 'taken' })
  await stream.end()
  return adapter
}

test('a server computes gradients for a client over the network, also of its adapter, version after version', async (t) => {
  const node = await startNode(t)
  const checkpoint = await openCheckpoint(FOLDER)
  const golden = await openGolden(join(FOLDER, 'golden.safetensors'))
  const adapters = { allowClientAdapters: true, adapterBytes: 1 << 20 }
  const server = await serve(node, { checkpoint, ...span, ...adapters, trainingBytes: 64 << 20 }, silent)
  t.after(() => server.stop())
  const client = await startNode(t, { listen: [] })
  await client.connect(node.multiaddrs[0]!)
  const { modelKey } = server
  const request: Backward = {
    kind: 'backward',
    modelKey,
    start: 0,
    end: 3,
    trace: newTrace(),
    hidden: golden.tensors.get('block0_input')!,
    gradient: golden.tensors.get('block2_output_grad')!,
    adapterGradients: false,
  }
  const record = server.discovery.directory.records().find(({ peerId }) => peerId === node.peerId)!
  assert.equal(record.backwardTokens, server.engine.backwardTokens)
  const { prefill } = server.blocks.pace.rates

  const [plain, end] = await ask(client, node, request)
  assert.ok(plain?.kind === 'gradients' && end?.kind === 'complete')
  assert.ok(worstError(plain.hidden, golden.tensors.get('block0_input_grad')!) < 1e-4)
  assert.equal(plain.prompts, undefined)

  // B of zeros changes nothing, and has a gradient; A has none until it does.
  const name = 'model.layers.1.self_attn.q_proj'
  let adapter: string | undefined
  for (const [b, hasA] of [
    [0, false],
    [0.1, true],
  ] as const) {
    const module = { name, scaling: 2, a: filled(0.01, 3, HIDDEN_SIZE), b: filled(b, HIDDEN_SIZE, 3) }
    adapter = await bring(client, node, modelKey, module, adapter)
    const asked = { ...request, adapter, adapterGradients: true, prompts: filled(0, 3, 2, HIDDEN_SIZE) }
    const [gradients, change, complete, ...rest] = await ask(client, node, asked)
    assert.ok(gradients?.kind === 'gradients' && change?.kind === 'module' && complete?.kind === 'complete')
    assert.deepEqual([change.name, change.a.shape, change.b.shape], [name, [3, HIDDEN_SIZE], [HIDDEN_SIZE, 3]])
    assert.deepEqual(gradients.prompts?.shape, [3, 2, HIDDEN_SIZE])
    assert.ok(asFloat32(change.b).some((value) => value !== 0))
    assert.equal(
      asFloat32(change.a).some((value) => value !== 0),
      hasA,
    )
    assert.equal(worstError(gradients.hidden, plain.hidden) < 1e-5, b === 0)
    assert.deepEqual(rest, [])
  }
  assert.deepEqual(server.blocks.stats.passes, {
    forward: { count: 0, tokens: 0 },
    backward: { count: 3, tokens: 3 * 24 },
  })
  assert.deepEqual([server.blocks.pace.rates.prefill, server.blocks.pace.queueMs], [prefill, 0])
  await eventually(() => Object.values(node.numServedStreams).every((count) => count === 0))
})

function filled(value: number, ...shape: number[]): Tensor {
  return fromFloat32(new Float32Array(shape.reduce((product, size) => product * size, 1)).fill(value), shape)
}

test('a server without memory for training says so, in its record and to who asks all the same', async (t) => {
  const node = await startNode(t)
  const server = await serve(node, { checkpoint: await openCheckpoint(FOLDER), ...span, trainingBytes: 0 }, silent)
  t.after(() => server.stop())
  const record = server.discovery.directory.records().find(({ peerId }) => peerId === node.peerId)!
  assert.equal(record.backwardTokens, undefined)
  const hidden = filled(0, 1, 2, HIDDEN_SIZE)
  const { modelKey } = server
  const request = { modelKey, start: 0, end: 3, trace: newTrace(), hidden, gradient: hidden, adapterGradients: false }
  const stream = await node.open(targetOf(node), 'backward')
  await stream.send({ kind: 'backward', ...request })
  await assert.rejects(stream.receive(), { code: 'TRAINING_OFF', message: /--training-memory 0/ })
})
