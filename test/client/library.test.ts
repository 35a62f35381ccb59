import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { MODEL_TYPE_NAMES } from '../../src/checkpoint/config/model-types/index.ts'
import { readTensor } from '../../src/checkpoint/weights/read.ts'
import * as client from '../../src/client/index.ts'
import { classesOf } from '../../src/client/model/family-classes.ts'
import { AutoDistributedModel } from '../../src/client/model/hidden-model.ts'
import { AutoDistributedModelForCausalLM } from '../../src/client/model/model.ts'
import { type Golden, openGolden } from '../../src/client/verification/golden.ts'
import { type Tensor, asFloat32, fromFloat32 } from '../../src/tensor/tensor.ts'
import { type TestSwarm, startServers } from './kit.ts'

const LLAMA = new URL('../fixtures/llama', import.meta.url).pathname
/** Of the largest value of the reference. */
const TOLERANCE = 1e-4

function assertClose(actual: Tensor, expected: Tensor): void {
  assert.deepEqual(actual.shape, expected.shape)
  const [a, b] = [asFloat32(actual), asFloat32(expected)]
  const largest = b.reduce((max, value) => Math.max(max, Math.abs(value)), 0)
  const worst = a.reduce((max, value, i) => Math.max(max, Math.abs(value - b[i]!)), 0)
  assert.ok(worst <= TOLERANCE * largest, `off by ${worst} of ${largest}`)
}

/** One row [1, tokens, width] of [rows, tokens, width]. */
function row({ shape: [, tokens = 0, width = 0], ...states }: Tensor, index: number): Tensor {
  const values = asFloat32({ shape: [], ...states }).slice(index * tokens * width, (index + 1) * tokens * width)
  return fromFloat32(values, [1, tokens, width])
}

describe('the library over two servers', () => {
  let swarm: TestSwarm
  let model: AutoDistributedModelForCausalLM
  let golden: Golden
  const reference = (name: string) => golden.tensors.get(name)!
  const numBlocks = () => model.layers.length
  before(async () => {
    golden = await openGolden(`${LLAMA}/golden.safetensors`)
    const {
      model: { numBlocks },
    } = await client.AutoDistributedConfig.fromPretrained(LLAMA)
    swarm = await startServers(LLAMA, [
      [0, 1],
      [1, numBlocks],
    ])
    model = await client.DistributedLlamaForCausalLM.fromPretrained(LLAMA, { bootstrap: swarm.bootstrap, threads: 1 })
  })
  after(async () => {
    await model.close()
    await swarm.stop()
  })

  test("a causal model's forward gives the reference's logits, of ids and of hidden states", async () => {
    assertClose(await model.forward(golden.inputIds), reference('logits'))
    assertClose(await model.forward(reference('block0_input')), reference('logits'))
    await assert.rejects(model.forward([[1, 2], [3]]), { code: 'TENSOR_SHAPE' })
    await assert.rejects(model.forward([]), { code: 'TENSOR_SHAPE' })
  })

  test('a model without a head gives hidden states after the last norm, also step by step', async () => {
    await using plain = await AutoDistributedModel.fromPretrained(LLAMA, { bootstrap: swarm.bootstrap, threads: 1 })
    const { config, tensors } = plain.checkpoint
    const weight = asFloat32(readTensor(tensors.get('model.norm.weight')!, 'float32'))
    const last = reference(`block${config.numBlocks - 1}_output`)
    const normed = asFloat32(last).slice()
    for (let at = 0; at < normed.length; at += config.hiddenSize) {
      const values = normed.subarray(at, at + config.hiddenSize)
      const scale =
        1 / Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length + config.normEps)
      values.forEach((value, i) => {
        values[i] = value * scale * weight[i]!
      })
    }
    const expected = fromFloat32(normed, last.shape)
    assertClose(await plain.forward(golden.inputIds), expected)

    const ids = golden.inputIds[0]!
    await using session = plain.inferenceSession({ maxLength: ids.length })
    const first = await session.step(ids.slice(0, 2))
    const rest = await session.step(ids.slice(2))
    const stepped = fromFloat32(Float32Array.of(...asFloat32(first), ...asFloat32(rest)), [
      1,
      ids.length,
      config.hiddenSize,
    ])
    assertClose(stepped, row(expected, 0))
  })

  test('blocks are sliced like a list, iterated, and run alone', async () => {
    const { layers } = model
    assert.deepEqual([layers.start, layers.end, [...layers].length], [0, numBlocks(), numBlocks()])
    const spans = ([[1], [0, 1], [-1], [0, -1], [0, 99]] as const).map((range) => layers.slice(...range))
    assert.deepEqual(
      spans.map(({ start, end }) => [start, end]),
      [
        [1, numBlocks()],
        [0, 1],
        [numBlocks() - 1, numBlocks()],
        [0, numBlocks() - 1],
        [0, numBlocks()],
      ],
    )
    assert.deepEqual([layers.slice(1).at(-1).start, layers.slice(1).slice(0, 1).end], [numBlocks() - 1, 2])
    assert.throws(() => layers.slice(2, 2), { code: 'USAGE' })
    assert.throws(() => layers.at(99), { code: 'USAGE' })

    let hidden = reference('block0_input')
    for (const block of layers) {
      hidden = await block.forward(hidden)
      assertClose(hidden, reference(`block${block.start}_output`))
    }
    await assert.rejects(layers.forward(fromFloat32(new Float32Array(4), [1, 1, 4])), { code: 'TENSOR_SHAPE' })
  })

  test('a session over some of the blocks gives what these blocks give, and can be cut back', async () => {
    const span = model.layers.slice(1)
    const input = row(reference('block0_output'), 0)
    const [, tokens = 0, width = 0] = input.shape
    const states = { ...input, shape: [tokens, width] }
    const expected = row(reference(`block${numBlocks() - 1}_output`), 0)
    await using session = span.inferenceSession({ maxLength: tokens })
    for (let round = 0; round < 2; round++) {
      const output = await session.step(states)
      assertClose({ ...output, shape: expected.shape }, expected)
      session.position = 0
    }
    assert.deepEqual([session.start, session.end], [1, numBlocks()])
  })

  test('within useSession forward steps the session, and outside of it nothing is kept', async () => {
    const { layers } = model
    const input = row(reference('block0_input'), 1)
    const tokens = input.shape[1]!
    const expected = row(reference(`block${numBlocks() - 1}_output`), 1)
    let used: client.InferenceSession | undefined
    await layers.useSession({ maxLength: tokens }, async (session) => {
      used = session
      assertClose(await layers.forward(input), expected)
      assert.equal(session.position, tokens)
      await assert.rejects(layers.forward(input), { code: 'SESSION_OVERFLOW' })
      await assert.rejects(layers.forward(reference('block0_input')), { code: 'TENSOR_SHAPE' })
    })
    await assert.rejects(used!.step({ ...input, shape: [tokens, input.shape[2]!] }), { code: 'SESSION_CLOSED' })
    assertClose(await layers.forward(input), expected)

    await using session = layers.inferenceSession({ maxLength: tokens })
    assert.equal(await layers.useSession(session, async () => (await layers.forward(input)).shape[1]), tokens)
    assert.equal(session.position, tokens)
    await assert.rejects(
      layers.slice(1).useSession(session, () => undefined),
      { code: 'USAGE', message: /0:\d.*1:\d/ },
    )
  })
})

test("a config tells the model's sizes and its key, without a swarm", async () => {
  const { model, modelKey, generation } = await client.AutoDistributedConfig.fromPretrained(LLAMA)
  assert.equal(model.modelType, 'llama')
  assert.match(modelKey, /^[\w.-]+$/)
  assert.ok(generation.eosTokenIds.length >= 0)
  assert.equal((await client.DistributedLlamaConfig.fromPretrained(LLAMA, { dhtPrefix: 'mine' })).modelKey, 'mine')
})

test('every family has its classes, and they refuse a checkpoint of another by name', async () => {
  for (const type of MODEL_TYPE_NAMES) {
    const family = type
      .split('_')
      .map((word) => `${word[0]!.toUpperCase()}${word.slice(1)}`)
      .join('')
    for (const kind of ['Config', 'Model', 'ForCausalLM', 'ForSequenceClassification']) {
      const name = `Distributed${family}${kind}`
      assert.equal((client as unknown as Record<string, { name: string } | undefined>)[name]?.name, name)
    }
  }
  const others = Object.values(classesOf('falcon' as 'llama')) as (typeof AutoDistributedModel)[]
  for (const other of others) {
    await assert.rejects(
      other.fromPretrained(LLAMA, {
        bootstrap: ['/ip4/127.0.0.1/tcp/1/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp'],
      }),
      { code: 'FAMILY_MISMATCH', message: new RegExp(`^${other.name} takes models of type falcon.*is of type llama`) },
    )
  }
})
