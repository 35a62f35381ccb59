import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import ort from 'onnxruntime-node'
import { type Checkpoint, openCheckpoint } from '../../../src/checkpoint/checkpoint.ts'
import { Engine } from '../../../src/engine/engine.ts'
import { blockSlices } from '../../../src/engine/loading/block-slices.ts'
import { type BlockWeights, blockBytes, TrainingWeights } from '../../../src/engine/loading/training-weights.ts'
import { readValues } from '../../../src/engine/loading/values/read-values.ts'
import { trainingGraphs } from '../../../src/families/training-graphs.ts'
import { encodeWithoutWeights } from '../../../src/graph/encode.ts'
import { CPU as DEVICE } from '../../../src/runtime/device.ts'
import { type QuantFormat, type Quantization, quantizedSizes, quantizeRows } from '../../../src/tensor/quantize.ts'
import { asFloat32, fromFloat32, numElements } from '../../../src/tensor/tensor.ts'
import { seededRandom } from '../../checkpoint/write.ts'
import { blockWeights, CPU, floats, loadFixture, maxError, readTensors } from '../../families/support.ts'
import { angles, wantedBy } from '../../families/training-support.ts'
import { dequantize } from '../../tensor/dequantize.ts'

const STORED = join(import.meta.dirname, '../../fixtures-stored')
const FIXTURES = join(import.meta.dirname, '../../fixtures')
const TOKENS = 5

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
        const format: QuantFormat = quant === 'int8' ? 'int8-rows' : quant
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

function randomHidden({ config }: Checkpoint): Float32Array {
  const random = seededRandom(3)
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
  const { config } = checkpoint
  const graphs = trainingGraphs(config, { ...CPU, quant }, 0, 1)
  const parameters = graphs.map((each) => each.weights)
  const slices = blockSlices({ checkpoint, start: 0, end: 1 }, [{ parameters: parameters[0]! }])
  const weights = new TrainingWeights({ slices, parameters, pinnedBytes: 0 })
  try {
    const session = await ort.InferenceSession.create(encodeWithoutWeights(graphs[0]!.forward))
    const lent = [...readAll(weights, 0)].map(([name, tensor]) => {
      return [name, new ort.Tensor('float32', asFloat32(tensor), tensor.shape)] as const
    })
    const input = new ort.Tensor('float32', hidden, [1, TOKENS, config.hiddenSize])
    const feeds = { ...Object.fromEntries(lent), ...angles(config, TOKENS), hidden: input }
    const { output } = await session.run(wantedBy(session, feeds))
    return output!.data as Float32Array
  } finally {
    weights.release()
  }
}
