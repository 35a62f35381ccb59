import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import ort from 'onnxruntime-node'
import { bareName } from '../../src/checkpoint/weights/names.ts'
import { familyOf } from '../../src/families/models/index.ts'
import { trainingGraphs } from '../../src/families/graphs/training-graphs.ts'
import { HIDDEN_GRADIENT, gradientName } from '../../src/graph/gradient-names.ts'
import { loraInputs } from '../../src/graph/lora-names.ts'
import { loraModules } from '../../src/graph/lora.ts'
import {
  blockInput,
  blockWeights,
  CPU,
  FIXTURES,
  floats,
  loadFixture,
  maxError,
  readTensors,
  type Tensors,
} from './support.ts'
import { lossOf, type Feeds, TrainingBlock } from './training-support.ts'

const TOLERANCE = 1e-4
const FOLDER = join(import.meta.dirname, '../fixtures')
/** Of every adapter in the files; in a run all linear layers have the same. */
const RANK = 2
const TARGET = { ...CPU, adapters: true }

const adapted = FIXTURES.filter((name) => existsSync(join(FOLDER, name, 'lora.safetensors')))

describe('the gradients of an adapter through all blocks of a model', () => {
  assert.ok(adapted.length >= 10)
  for (const name of adapted)
    it(`are those of PEFT: ${name}`, async () => {
      const fixture = await loadFixture(name)
      const { config } = fixture
      const stored = new Map(
        [...(await readTensors(join(FOLDER, name, 'lora.safetensors')))].map(([key, value]) => [bareName(key), value]),
      )
      const [scaling = 1] = floats(stored, 'scaling')
      const { blockPrefix } = familyOf(config).names(config)
      const [rows = 0] = fixture.golden.get('input_ids')!.shape

      const blocks: TrainingBlock[] = []
      let hidden = blockInput(fixture, 0)
      for (const [block, graphs] of trainingGraphs(config, TARGET).entries()) {
        const passes = await TrainingBlock.create(config, graphs, blockWeights(fixture.weights, block))
        const feeds: Feeds = {}
        for (const { name: module, inFeatures, outFeatures } of loraModules(graphs.forward)) {
          const [a, b] = adapterOf(bareName(blockPrefix(block) + module), stored, [inFeatures, outFeatures], scaling)
          feeds[loraInputs(module).a] = a
          feeds[loraInputs(module).b] = b
        }
        blocks.push(passes)
        hidden = await passes.forward(hidden, rows, feeds)
      }

      const { loss, gradient } = await lossOf(fixture, hidden)
      const expectedLoss = floats(stored, 'loss')[0]!
      assert.ok(Math.abs(loss - expectedLoss) < 1e-5 * expectedLoss, `loss ${loss} instead of ${expectedLoss}`)
      let upstream = gradient
      let compared = 0
      for (const [block, passes] of [...blocks.entries()].toReversed()) {
        const gradients = await passes.backward(upstream, rows)
        upstream = gradients[HIDDEN_GRADIENT]!
        for (const [output, found] of Object.entries(gradients)) {
          const [, matrix, module = ''] = /^gradient:lora_([ab]):(.*)$/.exec(output) ?? []
          if (matrix === undefined) continue
          assert.equal(output, gradientName(loraInputs(module)[matrix as 'a' | 'b']))
          const key = `${bareName(blockPrefix(block) + module)}.lora_${matrix.toUpperCase()}.grad`
          if (!stored.has(key)) continue
          const [out = 0] = stored.get(key)!.shape
          const expected =
            matrix === 'a' ? floats(stored, key) : transposed(floats(stored, key), out).map((value) => value / scaling)
          const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
          const error = maxError(found, expected) / largest
          assert.ok(error < TOLERANCE, `${key}: ${error} of the largest`)
          compared++
        }
      }
      assert.equal(compared, [...stored.keys()].filter((key) => key.endsWith('.grad')).length)
    })
})

/** A and, scaled and transposed as the graph takes it, B of a linear layer; zeros if the adapter leaves it out. */
function adapterOf(
  name: string,
  stored: Tensors,
  [inFeatures, outFeatures]: readonly [number, number],
  scaling: number,
): readonly [ort.Tensor, ort.Tensor] {
  const isThere = stored.has(`${name}.lora_A.weight`)
  const ofA = isThere ? floats(stored, `${name}.lora_A.weight`) : new Float32Array(RANK * inFeatures)
  const ofB = isThere
    ? transposed(floats(stored, `${name}.lora_B.weight`), outFeatures).map((value) => value * scaling)
    : new Float32Array(RANK * outFeatures)
  return [new ort.Tensor('float32', ofA, [RANK, inFeatures]), new ort.Tensor('float32', ofB, [RANK, outFeatures])]
}

/** A matrix of so many rows. */
function transposed(values: Float32Array, rows: number): Float32Array {
  const columns = values.length / rows
  return values.map((_, i) => values[(i % rows) * columns + Math.floor(i / rows)]!)
}
