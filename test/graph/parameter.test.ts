import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type FloatSource, type MatrixPart, storedTensors } from '../../src/graph/parameter.ts'

const SHAPE = [8, 16] as const
const FLOAT8 = { method: 'fp8', scale: 'weight_scale', blockRows: 1, blockColumns: 0 } as const

function part(name: string): MatrixPart {
  return { name, shape: [4, 16], pieces: [{ row: 0, column: 0, rows: 4, firstRow: 0, rowStep: 1 }] }
}

function tensorsOf(source: FloatSource): string[] {
  const matrix = { name: 'proj.weight', shape: SHAPE, source }
  const direct = storedTensors(matrix).map(({ name, shape }) => `${name} [${shape.join()}]`)
  // Quantizing needs the same tensors.
  const codes = { kind: 'quantized', format: 'int8', part: 'codes', matrix } as const
  const quantized = storedTensors({ name: 'proj.weight.codes', shape: [8, 1, 16], source: codes })
  assert.deepEqual(
    quantized.map(({ name, shape }) => `${name} [${shape.join()}]`),
    direct,
  )
  return direct
}

describe('the tensors that a parameter is made of', () => {
  it('are the one of its name, the parts, or what a float8 checkpoint stores', () => {
    assert.deepEqual(tensorsOf({ kind: 'stored' }), ['proj.weight [8,16]'])
    assert.deepEqual(tensorsOf({ kind: 'assembled', parts: [part('a'), part('b')] }), ['a [4,16]', 'b [4,16]'])
    assert.deepEqual(tensorsOf({ kind: 'assembled', parts: [part('a.weight'), part('b.weight')], quant: FLOAT8 }), [
      'a.weight [4,16]',
      'a.weight_scale [4,1]',
      'b.weight [4,16]',
      'b.weight_scale [4,1]',
    ])
    assert.deepEqual(tensorsOf({ kind: 'widened', quant: FLOAT8, module: { name: 'proj', shape: SHAPE } }), [
      'proj.weight [8,16]',
      'proj.weight_scale [8,1]',
    ])
  })

  it('of unpacked codes are all of their layer', () => {
    const quant = {
      method: 'awq',
      bits: 4,
      groupSize: 16,
      zeroPoints: true,
      zeroOffset: 0,
      order: 'g_idx',
      ordered: false,
    } as const
    const source = { kind: 'unpacked', quant, part: 'codes', module: { name: 'proj', shape: SHAPE } } as const
    const tensors = storedTensors({ name: 'proj.weight.codes', shape: [8, 1, 8], source })
    assert.deepEqual(
      tensors.map(({ name }) => name),
      ['proj.qweight', 'proj.qzeros', 'proj.scales', 'proj.g_idx'],
    )
  })
})
