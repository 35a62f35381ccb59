import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import ort from 'onnxruntime-node'
import { type Checkpoint, openCheckpoint } from '../../../src/checkpoint/checkpoint.ts'
import type { TensorSlice } from '../../../src/checkpoint/weights/safetensors.ts'
import { Engine } from '../../../src/engine/engine.ts'
import { blockSlices } from '../../../src/engine/loading/block-slices.ts'
import { keptCodes } from '../../../src/engine/loading/quant-cache.ts'
import { type BlockWeights, blockBytes, TrainingWeights } from '../../../src/engine/loading/training-weights.ts'
import { readValues } from '../../../src/engine/loading/values/read-values.ts'
import { trainingGraphs } from '../../../src/families/graphs/training-graphs.ts'
import { HIDDEN_GRADIENT, OUTPUT_GRADIENT } from '../../../src/graph/gradient-names.ts'
import { encodeWithoutWeights } from '../../../src/graph/encode.ts'
import { linearFormat } from '../../../src/graph/lowering.ts'
import { CPU as DEVICE } from '../../../src/runtime/device.ts'
import { type Quantization, quantizedSizes, quantizeRows } from '../../../src/tensor/quantize.ts'
import { asFloat32, fromFloat32, numElements } from '../../../src/tensor/tensor.ts'
import { seededRandom } from '../../checkpoint/write.ts'
import { blockWeights, CPU, floats, loadFixture, maxError, readTensors } from '../../families/support.ts'
import { angles, wantedBy } from '../../families/training-support.ts'
import '../environment.ts'
import { dequantize } from '../../tensor/dequantize.ts'

const STORED = join(import.meta.dirname, '../../fixtures-stored')
const FIXTURES = join(import.meta.dirname, '../../fixtures')
const TOKENS = 5

/** Small enough that the slope is the same all along it, large enough for float32. */
const STEP = 2e-3

/** Less than one row of any matrix here, so that all of them are read in pieces of the least size. */
const TINY = 16

describe('the values of a checkpoint that was quantized before', () => {
  for (const name of readdirSync(STORED))
    it(`are to the bit what ${name} means, in however small pieces they are read`, async () => {
      const checkpoint = await openCheckpoint(join(STORED, name))
      const exact = await readTensors(join(STORED, name, 'plain.safetensors'))
      const { weights: parameters } = trainingGraphs(checkpoint.config, CPU, 0, 1)[0]!
      const [slices] = blockSlices({ checkpoint, start: 0, end: 1 }, [{ parameters }])
      let matrices = 0
      for (const parameter of parameters.filter(({ shape }) => shape.length === 2))
        for (const most of [TINY, 1 << 18]) {
          const values = new Float32Array(numElements(parameter.shape)).fill(Number.NaN)
          const pieces = [...readValues(parameter, slices!, values, most)].length
          assert.equal(maxError(values, floats(exact, `model.layers.0.${parameter.name}`)), 0, parameter.name)
          assert.ok(most !== TINY || pieces > 1, `${parameter.name} in ${pieces} pieces`)
          matrices++
        }
      assert.equal(matrices, 14)
    })
})

describe('the values of matrices that are quantized when they are loaded', () => {
  for (const quant of ['int8', 'int4', 'nf4'] as const)
    it(`are what codes of the whole matrix stand for: ${quant}`, async () => {
      const checkpoint = await openCheckpoint(join(FIXTURES, 'llama'))
      const { weights } = await loadFixture('llama')
      const { weights: parameters } = trainingGraphs(checkpoint.config, { ...CPU, quant }, 1, 2)[0]!
      const [slices] = blockSlices({ checkpoint, start: 1, end: 2 }, [{ parameters }])
      for (const parameter of parameters.filter(({ shape }) => shape.length === 2)) {
        const [rows = 0, columns = 0] = parameter.shape
        const format = linearFormat({ device: 'cpu', quant })!
        const { blocks, codeBytes } = quantizedSizes(format, rows, columns)
        const matrix = { codes: new Uint8Array(codeBytes), scales: new Float32Array(blocks) }
        quantizeRows(format, floats(blockWeights(weights, 1), parameter.name), columns, matrix)
        const values = new Float32Array(rows * columns)
        for (const _ of readValues(parameter, slices!, values, TINY)) continue
        // The rotation adds up in another order.
        const error = maxError(values, dequantize(format, matrix, rows, columns))
        assert.ok(error <= (quant === 'int8' ? 1e-6 : 1e-8), `${parameter.name}: ${error}`)
      }
    })
})

describe('values of matrices that a quantization cache holds', () => {
  for (const quant of ['int8', 'int4', 'nf4'] as const)
    it(`are read from it, and are those that rounding gives: ${quant}`, async (t) => {
      const quantCache = await mkdtemp(join(tmpdir(), 'petals-training-cache-'))
      t.after(() => rm(quantCache, { recursive: true }))
      const checkpoint = await openCheckpoint(join(FIXTURES, 'llama'))
      const span = { start: 1, end: 2, device: DEVICE, dtype: 'float32', quant } as const
      const threads = { threads: 1, spin: false }
      const engine = await Engine.load({ checkpoint, ...span, ...threads, cacheTokens: 64, quantCache })
      await engine.close()
      const { weights: parameters } = trainingGraphs(checkpoint.config, { ...CPU, quant }, 1, 2)[0]!
      const [slices] = blockSlices({ checkpoint, start: 1, end: 2 }, [{ parameters }])
      const kept = keptCodes(quantCache, quant, slices!)
      const both = new Map([...slices!, ...kept])
      let matrices = 0
      for (const parameter of parameters.filter(({ source }) => source.kind === 'quantized'))
        for (const most of [TINY, 1 << 18]) {
          const [rounded, cached] = [slices!, both].map((from) => {
            const values = new Float32Array(numElements(parameter.shape)).fill(Number.NaN)
            for (const _ of readValues(parameter, from, values, most)) continue
            return values
          })
          assert.ok(maxError(cached!, rounded!) <= (quant === 'int8' ? 1e-6 : 0), parameter.name)
          matrices++
          // Codes of another matrix are seen: it is they that are read.
          const other = new Map(both).set(`${parameter.name}.codes`, otherCodes(kept, parameter.name))
          const values = new Float32Array(numElements(parameter.shape))
          for (const _ of readValues(parameter, other, values, most)) continue
          assert.ok(maxError(values, rounded!) > 1e-3, parameter.name)
        }
      assert.equal(matrices, 14)
      await rm(quantCache, { recursive: true })
      await mkdir(quantCache)
      const parameter = parameters.find(({ source }) => source.kind === 'quantized')
      const values = new Float32Array(numElements(parameter!.shape)).fill(Number.NaN)
      for (const _ of readValues(parameter!, both, values)) continue
      assert.ok(
        values.every((value) => Number.isFinite(value)),
        'without the file the checkpoint is read',
      )
    })
})

/** What lies 64 bytes before a matrix's own codes. */
function otherCodes(kept: ReadonlyMap<string, TensorSlice>, name: string): TensorSlice {
  const own = kept.get(`${name}.codes`)!
  return { ...own, offset: own.offset - 64 }
}

describe('a block with training weights', () => {
  /** Shares of the largest output: kernels for integers round activations, except for experts. */
  const cases: [name: string, quant: Quantization, tolerance: number][] = [
    ['llama', 'nf4', 1e-5],
    ['llama', 'int8', 0.03],
    ['mixtral', 'int4', 0.03],
    ['gpt-oss-mxfp4', 'none', 1e-5],
    ['deepseek-v3-float8', 'none', 1e-5],
  ]
  for (const [name, quant, tolerance] of cases)
    it(`computes what a span of ${name} does with --quant ${quant}`, async () => {
      const checkpoint = await openCheckpoint(join(FIXTURES, name))
      const hidden = randomHidden(checkpoint)
      const expected = await spanOutput(checkpoint, quant, hidden)
      const actual = await trainingOutput(checkpoint, quant, hidden)
      const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
      const error = maxError(actual, expected) / largest
      assert.ok(error < tolerance, `${error} of the largest output`)
    })
})

describe('the gradient of a block with rounded weights', () => {
  for (const [name, quant] of [
    ['llama', 'int8'],
    ['mixtral', 'int4'],
    ['gpt-oss-mxfp4', 'none'],
  ] as const)
    it(`is that of what it computes: ${name} with --quant ${quant}`, async () => {
      const checkpoint = await openCheckpoint(join(FIXTURES, name))
      const passes = await trainingPass(checkpoint, quant)
      const [hidden, way, upstream] = [3, 5, 7].map((seed) => randomHidden(checkpoint, seed)) as [
        Float32Array,
        Float32Array,
        Float32Array,
      ]
      const along = async (step: number) =>
        dot(await passes.forward(hidden.map((value, i) => value + step * way[i]!)), upstream)
      const slope = ((await along(STEP)) - (await along(-STEP))) / (2 * STEP)
      await passes.forward(hidden)
      const found = dot(await passes.backward(upstream), way)
      assert.ok(Math.abs(found - slope) < 0.01 * Math.abs(slope), `${found} instead of ${slope}`)
    })
})

describe('TrainingWeights', async () => {
  const checkpoint = await openCheckpoint(join(FIXTURES, 'llama'))
  const parameters = trainingGraphs(checkpoint.config, CPU).map(({ weights }) => weights)
  const slices = blockSlices(
    { checkpoint, start: 0, end: 3 },
    parameters.map((each) => ({ parameters: each })),
  )
  const bytes = blockBytes(parameters[0]!)

  it('keep the first blocks and read the others into the same memory again', () => {
    const weights = new TrainingWeights({ slices, parameters, pinnedBytes: bytes + bytes / 2 })
    try {
      const [first, second] = [readAll(weights, 0), readAll(weights, 1)]
      const values = copyOf(second)
      const third = readAll(weights, 2)
      assert.equal(addressOf(third), addressOf(second))
      assert.notDeepEqual(copyOf(third), values)
      assert.equal(weights.read(0).next().value, first)
      assert.equal(weights.read(2).next().value, third)
      assert.deepEqual(copyOf(readAll(weights, 1)), values)
    } finally {
      weights.release()
    }
  })

  it('forget what was not read to the end', () => {
    for (const pinnedBytes of [0, bytes]) {
      const weights = new TrainingWeights({ slices, parameters, pinnedBytes })
      try {
        const reading = weights.read(0)
        assert.equal(reading.next().done, false)
        reading.return(undefined as never)
        assert.equal(weights.read(0).next().done, false)
        assert.ok(copyOf(readAll(weights, 0)).some((value) => value !== 0))
      } finally {
        weights.release()
      }
    }
  })
})

function readAll(weights: TrainingWeights, block: number): BlockWeights {
  const reading = weights.read(block)
  for (;;) {
    const { done, value } = reading.next()
    if (done === true) return value
  }
}

function copyOf(weights: BlockWeights): Float32Array {
  return Float32Array.from([...weights.values()].flatMap((tensor) => [...asFloat32(tensor)]))
}

function addressOf(weights: BlockWeights): ArrayBufferLike {
  return weights.values().next().value!.data.buffer
}

function randomHidden({ config }: Checkpoint, seed = 3): Float32Array {
  const random = seededRandom(seed)
  return Float32Array.from({ length: TOKENS * config.hiddenSize }, () => 2 * random() - 1)
}

async function spanOutput(checkpoint: Checkpoint, quant: Quantization, hidden: Float32Array): Promise<Float32Array> {
  const { hiddenSize } = checkpoint.config
  const [end, options] = [1, { device: DEVICE, dtype: 'float32', threads: 1, spin: false, cacheTokens: 64 } as const]
  const engine = await Engine.load({ checkpoint, start: 0, end, quant, ...options })
  try {
    const input = fromFloat32(hidden.slice(), [1, TOKENS, hiddenSize])
    return asFloat32(await engine.forward(input, { start: 0, end, timeoutMs: 60_000 }))
  } finally {
    await engine.close()
  }
}

async function trainingOutput(
  checkpoint: Checkpoint,
  quant: Quantization,
  hidden: Float32Array,
): Promise<Float32Array> {
  return (await trainingPass(checkpoint, quant)).forward(hidden)
}

/** The first block's passes, over rows of `TOKENS`. */
async function trainingPass(checkpoint: Checkpoint, quant: Quantization) {
  const { config } = checkpoint
  const [graphs] = trainingGraphs(config, { ...CPU, quant }, 0, 1)
  const parameters = [graphs!.weights]
  const slices = blockSlices({ checkpoint, start: 0, end: 1 }, [{ parameters: parameters[0]! }])
  const weights = new TrainingWeights({ slices, parameters, pinnedBytes: 0 })
  const lent = [...readAll(weights, 0)].map(([name, tensor]) => {
    return [name, new ort.Tensor('float32', asFloat32(tensor).slice(), tensor.shape)] as const
  })
  weights.release()
  const [forward, backward] = [
    await ort.InferenceSession.create(encodeWithoutWeights(graphs!.forward)),
    await ort.InferenceSession.create(encodeWithoutWeights(graphs!.backward)),
  ]
  let feeds: Record<string, ort.Tensor> = { ...Object.fromEntries(lent), ...angles(config, TOKENS) }
  const tensorOf = (values: Float32Array) => new ort.Tensor('float32', values, [1, TOKENS, config.hiddenSize])
  return {
    async forward(hidden: Float32Array): Promise<Float32Array> {
      feeds = { ...feeds, hidden: tensorOf(hidden) }
      const found = await forward.run(wantedBy(forward, feeds))
      feeds = { ...feeds, ...found }
      return found['output']!.data as Float32Array
    },
    async backward(gradient: Float32Array): Promise<Float32Array> {
      const found = await backward.run(wantedBy(backward, { ...feeds, [OUTPUT_GRADIENT]: tensorOf(gradient) }))
      return found[HIDDEN_GRADIENT]!.data as Float32Array
    },
  }
}

function dot(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, value, i) => sum + value * b[i]!, 0)
}
