import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import ort from 'onnxruntime-node'
import type { ModelConfig } from '../../src/checkpoint/config/config.ts'
import { ropeInputs } from '../../src/families/input-names.ts'
import { ropeAngles } from '../../src/families/rope.ts'
import { buildTrainingGraph } from '../../src/families/training-graphs.ts'
import { encodeWithoutWeights } from '../../src/graph/encode.ts'
import { randomFloats } from '../graph/support.ts'
import {
  BlockRunner,
  blockInput,
  blockWeights,
  CPU,
  createSession,
  FIXTURES,
  floats,
  loadFixture,
  maxError,
} from './support.ts'

const TOLERANCE = 1e-4

describe("the training form of every fixture's blocks", () => {
  for (const name of FIXTURES)
    it(`gives the outputs of transformers, and those of inference for longer texts: ${name}`, async () => {
      const fixture = await loadFixture(name)
      const { config, golden } = fixture
      const [rows = 0, length = 0] = golden.get('input_ids')!.shape
      for (let block = 0; block < config.numBlocks; block++) {
        const weights = blockWeights(fixture.weights, block)
        const session = await createSession(buildTrainingGraph(config, CPU, block), weights)
        const output = await run(session, config, blockInput(fixture, block), rows, length)
        assertClose(output, floats(golden, `block${block}_output`), `block ${block}`)
        if (block !== config.numBlocks - 1) continue

        const tokens = 3 * length + 1
        const long = randomFloats(block, tokens * config.hiddenSize)
        const sizes = { block, rows: 1, capacity: tokens, maxLength: tokens }
        const runner = await BlockRunner.create(config, weights, sizes)
        assertClose(await run(session, config, long, 1, tokens), await runner.step(long, tokens), `${tokens} tokens`)
      }
    })
})

describe('a training session', () => {
  it('holds no weights: equal blocks share one, each lending its own', async () => {
    const fixture = await loadFixture('llama')
    const { config, golden } = fixture
    const [rows = 0, length = 0] = golden.get('input_ids')!.shape
    const graph = buildTrainingGraph(config, CPU, 0)
    const session = await ort.InferenceSession.create(encodeWithoutWeights(graph))
    assert.deepEqual(session.inputNames, ['hidden', 'cos', 'sin', ...graph.parameters.map((each) => each.name)])
    for (let block = 0; block < config.numBlocks; block++) {
      const weights = blockWeights(fixture.weights, block)
      const lent = graph.parameters.map(({ name, shape }) => {
        return [name, new ort.Tensor('float32', floats(weights, name), shape)] as const
      })
      const output = await run(session, config, blockInput(fixture, block), rows, length, Object.fromEntries(lent))
      assertClose(output, floats(golden, `block${block}_output`), `block ${block}`)
    }
  })
})

describe('buildTrainingGraph', () => {
  it('takes adapters without a mask: all rows of a run have the same one', async () => {
    const { config } = await loadFixture('llama')
    const { inputs } = buildTrainingGraph(config, { ...CPU, adapters: true }, 0)
    const names = new Set(inputs.map(({ name }) => name))
    assert.ok(names.has('lora_a:self_attn.q_proj') && names.has('lora_b:mlp.down_proj'))
    assert.ok(!names.has('lora_mask'))
  })

  it('refuses what no test has run on', async () => {
    const { config } = await loadFixture('llama')
    assert.throws(() => buildTrainingGraph(config, { device: 'cuda', dtype: 'float16' }, 0), {
      code: 'GRAPH_UNSUPPORTED',
      message: /training in float16 on cuda/,
    })
  })
})

async function run(
  session: ort.InferenceSession,
  config: ModelConfig,
  input: Float32Array,
  rows: number,
  tokens: number,
  weights: Record<string, ort.Tensor> = {},
): Promise<Float32Array> {
  const hidden = new ort.Tensor('float32', input, [rows, tokens, config.hiddenSize])
  const { output } = await session.run({ hidden, ...angles(config, tokens, session.inputNames), ...weights })
  return output!.data as Float32Array
}

function angles({ ropes }: ModelConfig, positions: number, inputs: readonly string[]): Record<string, ort.Tensor> {
  const tables = ropes.entries().flatMap(([i, rope]) => {
    const { cos, sin, halfDim } = ropeAngles(rope, { maxLength: positions, positions })
    const names = ropeInputs(i)
    const tensor = (data: Float32Array) => new ort.Tensor('float32', data, [positions, halfDim])
    return [
      [names.cos, tensor(cos)],
      [names.sin, tensor(sin)],
    ] as const
  })
  return Object.fromEntries(tables.filter(([name]) => inputs.includes(name)))
}

function assertClose(actual: Float32Array, expected: Float32Array, what: string): void {
  const error = maxError(actual, expected)
  assert.ok(error < TOLERANCE, `${what}: max error ${error}`)
}
