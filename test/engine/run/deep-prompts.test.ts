import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { openCheckpoint } from '../../../src/checkpoint/checkpoint.ts'
import { readTensor } from '../../../src/checkpoint/weights/read.ts'
import { readSafetensorsHeader } from '../../../src/checkpoint/weights/safetensors.ts'
import { promptsOfStep } from '../../../src/engine/run/deep-prompts.ts'
import { Engine } from '../../../src/engine/engine.ts'
import { ModelEnds } from '../../../src/engine/ends/ends.ts'
import { CPU } from '../../../src/runtime/device.ts'
import { type Tensor, asFloat32, fromFloat32 } from '../../../src/tensor/tensor.ts'

const FOLDER = new URL('../../fixtures/llama', import.meta.url).pathname
const THREADS = { threads: 1, spin: false }
const BLOCKS = 3,
  TOKENS = 12

function error(a: Float32Array, b: Float32Array): number {
  return a.reduce((max, value, i) => Math.max(max, Math.abs(value - b[i]!)), 0)
}

describe('deep prompts', () => {
  let engine: Engine, ends: ModelEnds
  let golden: Map<string, Tensor>
  before(async () => {
    const checkpoint = await openCheckpoint(FOLDER)
    const slices = await readSafetensorsHeader(`${FOLDER}/golden.safetensors`)
    golden = new Map(
      slices.filter(({ dtype }) => dtype === 'float32').map((slice) => [slice.name, readTensor(slice, 'float32')]),
    )
    engine = await Engine.load({
      checkpoint,
      start: 0,
      end: BLOCKS,
      device: CPU,
      dtype: 'float32',
      ...THREADS,
      cacheTokens: 2048,
      prefillChunkTokens: 2,
    })
    ends = await ModelEnds.load({ checkpoint, ...THREADS })
  })
  after(() => Promise.all([engine.close(), ends.close()]))

  /** The reference's first sequence. */
  const first = (name: string): Float32Array => {
    const values = asFloat32(golden.get(name)!)
    return values.slice(0, values.length / 2)
  }

  const run = async (pieces: readonly number[], prompts: Tensor | undefined): Promise<Float32Array> => {
    const session = await engine.openSession({ start: 0, end: BLOCKS, maxLength: TOKENS, prompts, timeoutMs: 0 })
    const input = first('block0_input'),
      width = input.length / TOKENS
    const outputs: number[] = []
    let at = 0
    for (const tokens of pieces) {
      outputs.push(
        ...asFloat32(await session.step(fromFloat32(input.slice(at * width, (at + tokens) * width), [tokens, width]))),
      )
      at += tokens
    }
    session.release()
    return ends.head(Float32Array.from(outputs))
  }

  for (const pieces of [[12], [1, 4, 7], [2, 10], Array<number>(12).fill(1)]) {
    test(`are added to each block's input at the first positions, with steps of ${pieces} tokens`, async () => {
      const expected = first('logits_with_deep_prompts')
      assert.ok(error(first('logits'), expected) > 0.01)
      // At once with a session that has none: what one adds does not show in the other.
      const [prompted, plain] = await Promise.all([run(pieces, golden.get('deep_prompts')), run(pieces, undefined)])
      assert.ok(error(prompted, expected) < 1e-4)
      assert.ok(error(plain, first('logits')) < 1e-4)
    })
  }

  test('of another shape are refused by name', async () => {
    const { hiddenSize } = engine.config
    for (const shape of [
      [2, 3, hiddenSize],
      [3, 3, 32],
      [3, hiddenSize],
    ]) {
      const prompts = fromFloat32(new Float32Array(shape.reduce((a, b) => a * b)), shape)
      await assert.rejects(engine.openSession({ start: 0, end: 3, maxLength: 8, prompts, timeoutMs: 0 }), {
        code: 'TENSOR_SHAPE',
        message: /deep prompts .*expected \[3, tokens, 64\]/,
      })
    }
  })

  test('end with their last position', () => {
    const prompts = fromFloat32(
      Float32Array.from({ length: 12 }, (_, i) => i),
      [2, 3, 2],
    )
    assert.equal(promptsOfStep(prompts, 3, 5), undefined)
    assert.equal(promptsOfStep(undefined, 0, 5), undefined)
    const step = promptsOfStep(prompts, 1, 5)!
    assert.equal(step.tokens, 2)
    assert.deepEqual(
      step.blocks.map((data) => [...new Float32Array(data.slice().buffer)]),
      [
        [2, 3, 4, 5],
        [8, 9, 10, 11],
      ],
    )
  })
})
