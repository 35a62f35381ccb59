import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import ort from 'onnxruntime-node'
import { buildHeadGraph, buildNormGraph } from '../../../src/families/graphs/graphs.ts'
import { buildLossGraph } from '../../../src/families/graphs/loss-graph.ts'
import { CPU, createSession, FIXTURES, floats, loadFixture, maxError } from '../support.ts'
import { lossFeeds, type LossFeeds, lossOf } from '../training-support.ts'

const TOLERANCE = 1e-4

describe("the loss of every fixture's logits", () => {
  for (const name of FIXTURES)
    it(`and its gradient are those of transformers: ${name}`, async () => {
      const fixture = await loadFixture(name)
      const { config, golden } = fixture
      const { loss, gradient } = await lossOf(fixture, floats(golden, `block${config.numBlocks - 1}_output`))
      const expected = floats(golden, 'loss')[0]!
      assert.ok(Math.abs(loss - expected) < 1e-5 * expected, `loss ${loss} instead of ${expected}`)
      assertClose(gradient, floats(golden, `block${config.numBlocks - 1}_output_grad`))
    })
})

describe('buildLossGraph', () => {
  it('takes any target where the weight is 0, with a loss of 0 and without a gradient', async () => {
    const fixture = await loadFixture('llama')
    const { config, weights } = fixture
    const session = await createSession(buildLossGraph(config), weights)
    const feeds = lossFeeds(fixture)
    const [last] = [fixture.golden.get('input_ids')!.shape[1]! - 1]
    const other = (feeds.targets.data as BigInt64Array).slice()
    other[last] = -100n
    const outputs = await session.run(feeds)
    const same = await session.run({ ...feeds, targets: new ort.Tensor('int64', other, feeds.targets.dims) })
    assert.deepEqual(same['losses']!.data, outputs['losses']!.data)
    assert.deepEqual(same['hidden_gradient']!.data, outputs['hidden_gradient']!.data)
    assert.equal((outputs['losses']!.data as Float32Array)[last], 0)
    const { hiddenSize } = config
    const gradient = (outputs['hidden_gradient']!.data as Float32Array).subarray(
      last * hiddenSize,
      (last + 1) * hiddenSize,
    )
    assert.ok(gradient.every((value) => value === 0))
  })

  // Of a head with a bias, one that is the embedding, and logits that are scaled.
  for (const name of ['phi', 'gemma', 'cohere-biases'])
    it(`gives the gradients of the head's parameters if asked for: ${name}`, async () => {
      const fixture = await loadFixture(name)
      const { config, golden, weights } = fixture
      const graph = buildLossGraph(config, { headGradients: true })
      const names = graph.outputs.map((output) => output.name).filter((output) => output.startsWith('gradient:'))
      assert.equal(names.length, name === 'phi' ? 2 : 1)
      const feeds = lossFeeds(fixture)
      const found = await (await createSession(graph, weights)).run(feeds)
      const { hidden } = feeds
      const { output: normed } = await (await createSession(buildNormGraph(config, CPU), weights)).run({ hidden })
      const { logits } = await (await createSession(buildHeadGraph(config, CPU), weights)).run({ hidden })
      assert.ok(maxError(logits!.data as Float32Array, floats(golden, 'logits')) < TOLERANCE)
      const scale = Number(config.raw['logit_scale'] ?? 1)
      const expected = headGradients(logits!, normed!.data as Float32Array, feeds, config.hiddenSize, scale)
      for (const output of names)
        assertClose(found[output]!.data as Float32Array, output.endsWith('bias') ? expected.bias : expected.weight)
    })
})

/** By the formula: of logit i it is weight * (probability - 1 if it is the target's). */
function headGradients(
  { data, dims }: ort.Tensor,
  normed: Float32Array,
  { targets, weights }: LossFeeds,
  hiddenSize: number,
  scale: number,
): { readonly weight: Float32Array; readonly bias: Float32Array } {
  const [tokens = 0, vocab = 0] = dims
  const [weight, bias] = [new Float32Array(vocab * hiddenSize), new Float32Array(vocab)]
  for (let token = 0; token < tokens; token++) {
    const logits = (data as Float32Array).subarray(token * vocab, (token + 1) * vocab)
    const parts = Float64Array.from(logits, (logit) => Math.exp(logit))
    const total = parts.reduce((sum, part) => sum + part, 0)
    for (let i = 0; i < vocab; i++) {
      const isTarget = Number((targets.data as BigInt64Array)[token]) === i ? 1 : 0
      const slope = scale * (weights.data as Float32Array)[token]! * (parts[i]! / total - isTarget)
      bias[i]! += slope
      for (let j = 0; j < hiddenSize; j++) weight[i * hiddenSize + j]! += slope * normed[token * hiddenSize + j]!
    }
  }
  return { weight, bias }
}

function assertClose(actual: Float32Array, expected: Float32Array): void {
  const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
  const error = maxError(actual, expected) / largest
  assert.ok(error < TOLERANCE, `${error} of the largest`)
}
