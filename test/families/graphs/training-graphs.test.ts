import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import ort from 'onnxruntime-node'
import { buildTrainingGraph, trainingGraphs } from '../../../src/families/graphs/training-graphs.ts'
import { encodeWithoutWeights } from '../../../src/graph/encode.ts'
import { randomFloats } from '../../graph/support.ts'
import { BlockRunner, blockInput, blockWeights, CPU, FIXTURES, floats, loadFixture, maxError } from '../support.ts'
import { angles, TrainingBlock, wantedBy } from '../training-support.ts'

const TOLERANCE = 1e-4

describe("the passes of every fixture's blocks", () => {
  for (const name of FIXTURES)
    it(`give what transformers gives, and for longer texts the outputs of inference: ${name}`, async () => {
      const fixture = await loadFixture(name)
      const { config, golden } = fixture
      const [rows = 0, length = 0] = golden.get('input_ids')!.shape
      for (const [block, graphs] of trainingGraphs(config, CPU).entries()) {
        const weights = blockWeights(fixture.weights, block)
        const passes = await TrainingBlock.create(config, graphs, weights)
        const output = await passes.forward(blockInput(fixture, block), rows)
        assertClose(output, floats(golden, `block${block}_output`), `block ${block}`)
        const gradient = await passes.hiddenGradient(floats(golden, `block${block}_output_grad`), rows)
        const expected = floats(golden, block === 0 ? 'block0_input_grad' : `block${block - 1}_output_grad`)
        assertClose(gradient, expected, `gradient of block ${block}`, largest(expected))
        if (block !== config.numBlocks - 1) continue

        const tokens = 3 * length + 1
        const long = randomFloats(block, tokens * config.hiddenSize)
        const sizes = { block, rows: 1, capacity: tokens, maxLength: tokens }
        const runner = await BlockRunner.create(config, weights, sizes)
        assertClose(await passes.forward(long, 1), await runner.step(long, tokens), `${tokens} tokens`)
      }
    })
})

describe('a training session', () => {
  it('holds no weights: equal blocks share one, each lending its own', async () => {
    const fixture = await loadFixture('llama')
    const { config, golden } = fixture
    const shape = [...golden.get('input_ids')!.shape, config.hiddenSize]
    const [first, ...others] = trainingGraphs(config, CPU)
    assert.ok(others.every((graphs) => graphs === first))
    const { forward, weights: parameters } = first!
    const session = await ort.InferenceSession.create(encodeWithoutWeights(forward))
    for (let block = 0; block < config.numBlocks; block++) {
      const weights = blockWeights(fixture.weights, block)
      const lent = parameters.map((each) => {
        return [each.name, new ort.Tensor('float32', floats(weights, each.name), each.shape)] as const
      })
      const feeds = {
        ...Object.fromEntries(lent),
        ...angles(config, shape[1]!),
        hidden: new ort.Tensor('float32', blockInput(fixture, block), shape),
      }
      const { output } = await session.run(wantedBy(session, feeds))
      assertClose(output!.data as Float32Array, floats(golden, `block${block}_output`), `block ${block}`)
    }
  })
})

describe('a mixture of experts', () => {
  it('does not read the matrices of experts that nobody chose', async () => {
    const fixture = await loadFixture('mixtral')
    const { config } = fixture
    const [graphs] = trainingGraphs(config, CPU, 0, 1)
    const weights = new Map(blockWeights(fixture.weights, 0))
    const hidden = blockInput(fixture, 0).subarray(0, config.hiddenSize)
    const whole = await TrainingBlock.create(config, graphs!, weights)
    const output = await whole.forward(hidden, 1)
    const gradient = await whole.hiddenGradient(hidden, 1)
    const poison = (expert: number): Promise<TrainingBlock> => {
      const names = [...weights.keys()].filter((name) => name.includes(`.experts.${expert}.`))
      assert.equal(names.length, 3)
      const nan = names.map((name) => {
        const tensor = weights.get(name)!
        return [name, { ...tensor, data: new Uint8Array(tensor.data.length).fill(0xff) }] as const
      })
      return TrainingBlock.create(config, graphs!, new Map([...weights, ...nan]))
    }
    const harmless: number[] = []
    for (let expert = 0; expert < Number(config.raw['num_local_experts']); expert++) {
      const poisoned = await poison(expert)
      const isHarmless = maxError(await poisoned.forward(hidden, 1), output) === 0
      assert.equal(maxError(await poisoned.hiddenGradient(hidden, 1), gradient) === 0, isHarmless)
      if (isHarmless) harmless.push(expert)
    }
    assert.equal(harmless.length, Number(config.raw['num_local_experts']) - Number(config.raw['num_experts_per_tok']))
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

function largest(values: Float32Array): number {
  return values.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
}

function assertClose(actual: Float32Array, expected: Float32Array, what: string, of = 1): void {
  const error = maxError(actual, expected)
  assert.ok(error < TOLERANCE * of, `${what}: max error ${error}`)
}
