import assert from 'node:assert/strict'
import { globSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { after, describe, test } from 'node:test'
import { openCheckpoint } from '../../../src/checkpoint/checkpoint.ts'
import { readSafetensorsHeader, type TensorSlice } from '../../../src/checkpoint/weights/safetensors.ts'
import { readBytes, readTensor } from '../../../src/checkpoint/weights/read.ts'
import { ModelEnds } from '../../../src/engine/ends/ends.ts'
import { loadEnds } from '../../../src/engine/ends/load-ends.ts'
import { LossRunner } from '../../../src/engine/ends/loss-runner.ts'
import { createEnvironment } from '../../../src/runtime/environment.ts'
import { asFloat32 } from '../../../src/tensor/tensor.ts'

const FIXTURES = new URL('../../fixtures', import.meta.url).pathname
const THREADS = { threads: 1, spin: false }
const env = createEnvironment(THREADS)

const undo = new DisposableStack()
after(() => undo.dispose())

interface Reference {
  /** The last block's output at all positions that have a target, and the targets. */
  readonly hidden: Float32Array
  readonly targets: Int32Array
  readonly loss: number
  /** Of the mean loss, where the reference has it. */
  readonly gradient: Float32Array | undefined
}

function floats(slice: TensorSlice): Float32Array {
  return asFloat32(readTensor(slice, 'float32'))
}

async function referenceOf(folder: string, numBlocks: number): Promise<Reference> {
  const slices = new Map(
    (await readSafetensorsHeader(`${folder}/golden.safetensors`)).map((slice) => [slice.name, slice]),
  )
  const ids = slices.get('input_ids')!
  const [rows = 0, tokens = 0] = ids.shape
  const all = new BigInt64Array(readBytes(ids).buffer)
  const kept = (values: Float32Array): Float32Array => {
    const width = values.length / (rows * tokens)
    const parts = Array.from({ length: rows }, (_, i) =>
      values.subarray(i * tokens * width, ((i + 1) * tokens - 1) * width),
    )
    return Float32Array.from(parts.flatMap((part) => [...part]))
  }
  const gradient = slices.get(`block${numBlocks - 1}_output_grad`)
  return {
    hidden: kept(floats(slices.get(`block${numBlocks - 1}_output`)!)),
    targets: Int32Array.from([...all].filter((_, i) => i % tokens > 0).map(Number)),
    loss: floats(slices.get('loss')!)[0]!,
    gradient: gradient && kept(floats(gradient)),
  }
}

function mean(losses: Float32Array): number {
  return losses.reduce((sum, loss) => sum + loss, 0) / losses.length
}

/** The difference that a step along `direction` makes to a value, per length of the step. */
function slope(value: (x: Float32Array) => number, at: Float32Array, direction: Float32Array): number {
  const step = 1e-2
  const along = (sign: number): Float32Array => at.map((x, i) => x + sign * step * direction[i]!)
  return (value(along(1)) - value(along(-1))) / (2 * step)
}

const folders = globSync(`${FIXTURES}/*/golden.safetensors`).map(dirname)
assert.ok(folders.length > 50)

describe('losses and their gradients are those of transformers', () => {
  for (const folder of folders)
    test(basename(folder), async () => {
      const checkpoint = await openCheckpoint(folder)
      const { hiddenSize, numBlocks } = checkpoint.config
      const reference = await referenceOf(folder, numBlocks)
      const runner = undo.adopt(new LossRunner(env, { checkpoint, ...THREADS }, new Map()), (own) => own.close())
      const rows = reference.targets.length
      const weights = new Float32Array(rows).fill(1 / rows)
      const { losses, gradient } = runner.losses(reference.hidden, reference.targets, weights, { gradient: true })
      assert.ok(Math.abs(mean(losses) - reference.loss) < 1e-5 * reference.loss)
      assert.deepEqual(runner.losses(reference.hidden, reference.targets, weights, { gradient: false }), { losses })
      if (reference.gradient !== undefined) {
        const most = reference.gradient.reduce((max, value) => Math.max(max, Math.abs(value)), 0)
        for (const [i, value] of gradient!.entries()) assert.ok(Math.abs(value - reference.gradient[i]!) < 1e-5 * most)
      }
      // One row, in the direction of its gradient and in another.
      const row = reference.hidden.slice(0, hiddenSize)
      const target = reference.targets.subarray(0, 1)
      const one = runner.losses(row, target, Float32Array.of(2), { gradient: true })
      const directions = [one.gradient!, row.map((_, i) => Math.sin(i))]
      for (const direction of directions) {
        const length = Math.hypot(...direction)
        const unit = direction.map((x) => x / length)
        const found = slope(
          (x) => 2 * runner.losses(x, target, Float32Array.of(2), { gradient: false }).losses[0]!,
          row,
          unit,
        )
        const wanted = unit.reduce((sum, x, i) => sum + x * one.gradient![i]!, 0)
        assert.ok(Math.abs(found - wanted) < 2e-3 * Math.hypot(...one.gradient!), `${found} is not ${wanted}`)
      }
    })
})

describe('last norms', () => {
  for (const name of ['llama', 'bloom', 'gemma', 'cohere2'])
    test(`the way back through that of ${name}`, async () => {
      const checkpoint = await openCheckpoint(`${FIXTURES}/${name}`)
      const ends = undo.adopt(loadEnds(env, { checkpoint, output: 'hidden', ...THREADS }), (own) => own.close())
      const { hiddenSize } = checkpoint.config
      const hidden = Float32Array.from({ length: 2 * hiddenSize }, (_, i) => Math.sin(i * 1.3))
      const given = hidden.map((_, i) => Math.cos(i * 0.7))
      const gradient = ends.losses.normGradient(hidden, given)
      const direction = hidden.map((_, i) => Math.sin(i * 2.1))
      const found = slope(
        (x) => ends.runner.head(x).reduce((sum, value, i) => sum + value * given[i]!, 0),
        hidden,
        direction,
      )
      const wanted = direction.reduce((sum, x, i) => sum + x * gradient[i]!, 0)
      assert.ok(Math.abs(found - wanted) < 1e-3 * Math.max(1, Math.abs(wanted)), `${found} is not ${wanted}`)
    })
})

test("in the ends' thread, in runs of bounded size; rows without weight have no loss", async () => {
  const checkpoint = await openCheckpoint(`${FIXTURES}/llama`)
  const ends = await ModelEnds.load({ checkpoint, ...THREADS })
  try {
    const rows = 1100
    const ids = Array.from({ length: rows }, (_, i) => (i * 7) % ends.vocabSize)
    const hidden = asFloat32(await ends.embed(ids)).slice()
    const targets = Int32Array.from(ids, (id) => (id * 3 + 1) % ends.vocabSize)
    const weights = Float32Array.from(ids, (_, i) => (i % 3 === 0 ? 0 : 1))
    const { losses, gradient } = await ends.loss(hidden.slice(), targets, weights, { gradient: true })
    const logits = await ends.head(hidden.slice())
    for (let row = 0; row < rows; row++) {
      const own = logits.subarray(row * ends.vocabSize, (row + 1) * ends.vocabSize)
      const wanted = Math.log(own.reduce((sum, x) => sum + Math.exp(x), 0)) - own[targets[row]!]!
      assert.ok(Math.abs(losses[row]! - (row % 3 === 0 ? 0 : wanted)) < 1e-4)
      const ofRow = gradient!.subarray(row * ends.hiddenSize, (row + 1) * ends.hiddenSize)
      assert.equal(
        ofRow.some((value) => value !== 0),
        row % 3 !== 0,
      )
    }
    await assert.rejects(ends.loss(hidden, targets.fill(-1), weights, { gradient: false }), { code: 'TOKEN_ID' })
    await assert.rejects(ends.loss(hidden, targets, weights.slice(1), { gradient: false }), { code: 'TENSOR_SHAPE' })
    const none = new Float32Array(0)
    assert.equal((await ends.loss(none, new Int32Array(0), none, { gradient: true })).losses.length, 0)
  } finally {
    await ends.close()
  }
})
