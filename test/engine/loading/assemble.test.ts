import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { assemble, assembleQuantized } from '../../../src/engine/loading/assemble.ts'
import { expertParts, type ExpertsOptions, wideParts } from '../../../src/graph/expert-parts.ts'
import { type MatrixPart, transposedPart } from '../../../src/graph/parameter.ts'
import { asFloat32 } from '../../../src/tensor/tensor.ts'
import { randomFloats } from '../../graph/support.ts'

const [EXPERTS, HIDDEN, WIDTH] = [3, 64, 128]

const NAMES = { gateUp: 'gate_up', down: 'down', gateUpBias: 'gate_up_bias', downBias: 'down_bias' }
const OPTIONS = { numExperts: EXPERTS, hiddenSize: HIDDEN, intermediateSize: WIDTH, names: NAMES }

const bytes = (values: Float32Array) => new Uint8Array(values.buffer)

/** Matrices [experts, rows, columns] as [experts, columns, rows]. */
function transposed(values: Float32Array, rows: number, columns: number): Float32Array {
  return values.map((_, i) => {
    const expert = Math.floor(i / (rows * columns))
    const at = i % (rows * columns)
    return values[(expert * rows + (at % rows)) * columns + Math.floor(at / rows)]!
  })
}

describe('experts that are stored as one tensor', () => {
  const stored = randomFloats(1, EXPERTS * HIDDEN * 2 * WIDTH)
  const rows = transposed(stored, HIDDEN, 2 * WIDTH)

  for (const slices of [1, 2, 4]) {
    it(`become ${slices} slices of each expert`, () => {
      const { gateUp, down } = expertParts(OPTIONS, slices)
      const width = WIDTH / slices
      assert.deepEqual(gateUp.shape, [slices * EXPERTS, 2 * width, HIDDEN])
      const wide = asFloat32(assemble(gateUp.shape, gateUp.parts, 'float32', () => bytes(stored)))
      const narrowStored = randomFloats(2, EXPERTS * WIDTH * HIDDEN)
      const narrow = asFloat32(assemble(down.shape, down.parts, 'float32', () => bytes(narrowStored)))
      for (let slice = 0; slice < slices; slice++) {
        for (let expert = 0; expert < EXPERTS; expert++) {
          const index = slice * EXPERTS + expert
          const from = (expert * 2 * WIDTH + slice * 2 * width) * HIDDEN
          const size = 2 * width * HIDDEN
          assert.deepEqual(wide.slice(index * size, (index + 1) * size), rows.slice(from, from + size))
          // An output channel of a slice: the stored column, from the slice's first row on.
          for (const channel of [0, HIDDEN - 1]) {
            const row = narrow.subarray((index * HIDDEN + channel) * width, (index * HIDDEN + channel + 1) * width)
            const wanted = row.map((_, j) => narrowStored[(expert * WIDTH + slice * width + j) * HIDDEN + channel]!)
            assert.deepEqual(row, wanted)
          }
        }
      }
    })
  }

  it('add their bias once, in the first slice', () => {
    const { gateUp, down } = expertParts(OPTIONS, 2)
    const wide = randomFloats(3, EXPERTS * 2 * WIDTH)
    const made = asFloat32(assemble([2 * EXPERTS, WIDTH], [gateUp.bias!], 'float32', () => bytes(wide)))
    assert.deepEqual(made.slice(0, WIDTH), wide.slice(0, WIDTH))
    assert.deepEqual(made.slice(EXPERTS * WIDTH, (EXPERTS + 1) * WIDTH), wide.slice(WIDTH, 2 * WIDTH))
    const narrow = randomFloats(4, EXPERTS * HIDDEN)
    const once = asFloat32(assemble([2 * EXPERTS, HIDDEN], [down.bias!], 'float32', () => bytes(narrow)))
    assert.deepEqual(once.slice(0, narrow.length), narrow)
    assert.ok(once.subarray(narrow.length).every((value) => value === 0))
  })

  it('are rounded as their transposes are', () => {
    const { gateUp } = expertParts(OPTIONS, 1)
    const plain: MatrixPart = {
      name: 'rows',
      shape: [EXPERTS * 2 * WIDTH, HIDDEN],
      pieces: [{ row: 0, column: 0, rows: EXPERTS * 2 * WIDTH, firstRow: 0, rowStep: 1 }],
    }
    for (const format of ['int8', 'int4'] as const) {
      assert.deepEqual(
        assembleQuantized(gateUp.shape, gateUp.parts, format, () => stored),
        assembleQuantized(gateUp.shape, [plain], format, () => rows),
      )
    }
  })
})

describe('experts side by side', () => {
  /** Each stored matrix by its name, and what one element of the wide ones has to be. */
  const single: ExpertsOptions = {
    ...OPTIONS,
    names: (expert) => ({ gate: `gate.${expert}`, up: `up.${expert}`, down: `down.${expert}` }),
  }
  const stored = new Map<string, Float32Array>()
  const read = ({ name, shape }: MatrixPart): Uint8Array => {
    const size = shape.reduce((product, dim) => product * dim, 1)
    const values = stored.get(name) ?? randomFloats(stored.size + 10, size)
    stored.set(name, values)
    return bytes(values)
  }
  const made = (shape: readonly number[], parts: readonly MatrixPart[]) =>
    asFloat32(assemble(shape, parts, 'float32', read))

  it('are the rows of what experts read, and the columns of what they give', () => {
    const parts = wideParts(single)
    assert.ok('gate' in parts)
    const [gate, down] = [made(parts.gate.shape, parts.gate.parts), made(parts.down.shape, parts.down.parts)]
    for (let expert = 0; expert < EXPERTS; expert++) {
      const size = WIDTH * HIDDEN
      assert.deepEqual(gate.slice(expert * size, (expert + 1) * size), stored.get(`gate.${expert}`))
      for (const row of [0, HIDDEN - 1]) {
        const from = row * EXPERTS * WIDTH + expert * WIDTH
        const wanted = stored.get(`down.${expert}`)!.slice(row * WIDTH, (row + 1) * WIDTH)
        assert.deepEqual(down.slice(from, from + WIDTH), wanted)
      }
    }
  })

  for (const [how, options] of [
    ['each by itself', single],
    ['as one tensor', OPTIONS],
  ] as const) {
    const parts = wideParts(options)
    it(`are put together as their transpose, stored ${how}`, () => {
      for (const { shape, parts: pieces } of 'gateUp' in parts
        ? [parts.gateUp, parts.down]
        : [parts.gate, parts.up, parts.down]) {
        const [out, inner] = shape
        const turned = pieces.map((part) => transposedPart(part, inner))
        assert.deepEqual(made([inner, out], turned), transposed(made(shape, pieces), out, inner))
      }
    })

    it(`are rounded as the whole is, stored ${how}`, () => {
      for (const format of ['int8', 'int4'] as const) {
        const { shape, parts: pieces } = parts.down
        const whole: MatrixPart = {
          name: 'whole',
          shape,
          pieces: [{ row: 0, column: 0, rows: shape[0], firstRow: 0, rowStep: 1 }],
        }
        const floats = made(shape, pieces)
        const found = assembleQuantized(shape, pieces, format, (part) => new Float32Array(read(part).buffer))
        assert.deepEqual(
          found,
          assembleQuantized(shape, [whole], format, () => floats),
        )
      }
    })
  }

  it('have their biases in a row', () => {
    const parts = wideParts(OPTIONS)
    assert.ok('gateUpBias' in parts)
    const found = made([EXPERTS * 2 * WIDTH], [parts.gateUpBias])
    assert.deepEqual(found, stored.get(NAMES.gateUpBias))
  })
})
