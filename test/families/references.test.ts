import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import ort from 'onnxruntime-node'
import { buildEmbedGraph, buildHeadGraph } from '../../src/families/graphs/graphs.ts'
import {
  BlockRunner,
  blockInput,
  blockWeights,
  CPU,
  createSession,
  CUDA_FLOAT32,
  FIXTURES,
  floats,
  loadFixture,
  maxError,
  WEBGPU_FLOAT32,
} from './support.ts'

const TOLERANCE = 1e-4

for (const name of FIXTURES) {
  describe(`${name} against transformers`, async () => {
    const fixture = await loadFixture(name)
    const [rows = 0, length = 0] = fixture.golden.get('input_ids')!.shape

    for (const [form, target] of [
      ['', CPU],
      [', in the form of float32 on CUDA', CUDA_FLOAT32],
      [', in the form of float32 on WebGPU', WEBGPU_FLOAT32],
    ] as const) {
      // A GPU has no kernel for quantized experts.
      if (target !== CPU && fixture.config.storedQuant?.method === 'mxfp4') continue
      it(`gives every block's output for a prefill of all rows${form}`, async () => {
        for (let block = 0; block < fixture.config.numBlocks; block++) {
          const runner = await BlockRunner.create(fixture.config, blockWeights(fixture.weights, block), {
            block,
            rows,
            capacity: 64,
            maxLength: length,
            target,
          })
          const output = await runner.step(blockInput(fixture, block), length)
          assertClose(output, floats(fixture.golden, `block${block}_output`), `block ${block}`)
        }
      })

      it(`gives the same when a row is prefilled in part and then stepped${form}`, async () => {
        const { config, weights, golden } = fixture
        const runner = await BlockRunner.create(config, blockWeights(weights, 0), {
          rows: 1,
          capacity: 64,
          maxLength: length,
          target,
        })
        const input = blockInput(fixture, 0).subarray(0, length * config.hiddenSize)
        const expected = floats(golden, 'block0_output').subarray(0, length * config.hiddenSize)
        for (let position = 0, tokens = 5; position < length; position += tokens, tokens = 1) {
          const range = [position * config.hiddenSize, (position + tokens) * config.hiddenSize] as const
          const output = await runner.step(input.subarray(...range), tokens)
          assertClose(output, expected.subarray(...range), `position ${position}`)
        }
      })
    }

    it("embeds ids and turns the last block's output into logits", async () => {
      const { config, weights, golden } = fixture
      const ids = golden.get('input_ids')!
      const embed = await createSession(buildEmbedGraph(config, CPU), weights)
      const { output } = await embed.run({
        ids: new ort.Tensor('int64', new BigInt64Array(ids.data.buffer), ids.shape),
      })
      assertClose(output!.data as Float32Array, blockInput(fixture, 0), 'embedding')

      const head = await createSession(buildHeadGraph(config, CPU), weights)
      const hidden = new ort.Tensor('float32', floats(golden, `block${config.numBlocks - 1}_output`), [
        rows * length,
        config.hiddenSize,
      ])
      const { logits } = await head.run({ hidden })
      assertClose(logits!.data as Float32Array, floats(golden, 'logits'), 'logits')
    })
  })
}

function assertClose(actual: Float32Array, expected: Float32Array, what: string): void {
  const error = maxError(actual, expected)
  assert.ok(error < TOLERANCE, `${what}: max error ${error}`)
}
