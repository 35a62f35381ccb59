import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  type BlockFormat,
  QUANT_LAYOUTS,
  type QuantFormat,
  quantizedSizes,
  quantizeRows,
} from '../../src/tensor/quantize.ts'
import { seededRandom } from '../checkpoint/write.ts'
import { dequantize } from './dequantize.ts'

const BLOCK_FORMATS: readonly BlockFormat[] = ['int8', 'nf4', 'int4', 'int4-128']
const FORMATS: readonly QuantFormat[] = [...BLOCK_FORMATS, 'int8-rows']
/** Of normally distributed weights, by the Euclidean norm: what the formats are known for. */
const ERRORS: Record<QuantFormat, number> = {
  int8: 0.006,
  nf4: 0.1,
  int4: 0.085,
  'int4-128': 0.105,
  'int8-rows': 0.015,
}

function quantized(
  format: QuantFormat,
  values: Float32Array,
  columns: number,
): { codes: Uint8Array; scales: Float32Array } {
  const { blocks, codeBytes } = quantizedSizes(format, values.length / columns, columns)
  const matrix = { codes: new Uint8Array(codeBytes), scales: new Float32Array(blocks) }
  quantizeRows(format, values, columns, matrix)
  return matrix
}

describe('quantizeRows', () => {
  const random = seededRandom(5)
  const normal = () => Array.from({ length: 12 }, random).reduce((sum, x) => sum + x, -6)

  for (const format of BLOCK_FORMATS) {
    for (const [rows, columns] of [
      [8, 64],
      [5, 40],
      [7, 33],
      [1, 1],
    ] as const) {
      it(`keeps a matrix of ${rows} x ${columns} in ${format}, each weight within half a step`, () => {
        const values = Float32Array.from({ length: rows * columns }, normal)
        const matrix = quantized(format, values, columns)
        const back = dequantize(format, matrix, rows, columns)
        const { blockSize, blocksPerRow } = QUANT_LAYOUTS[format]
        // The widest step between levels of each format, in scales; int4 cuts off a fifth of the largest weights.
        const half = { int8: 0.5, nf4: 0.152, int4: 3, 'int4-128': 3 }[format]
        for (const [i, value] of values.entries()) {
          const block = blocksPerRow
            ? Math.floor(i / columns) * Math.ceil(columns / blockSize) + Math.floor((i % columns) / blockSize)
            : Math.floor(i / blockSize)
          assert.ok(
            Math.abs(back[i]! - value) <= half * Math.abs(matrix.scales[block]!) + 1e-6,
            `weight ${i}: ${back[i]} for ${value}`,
          )
        }
      })
    }
  }

  for (const format of ['int4', 'int4-128'] as const)
    it(`finds scales for ${format} that lose no more than the one that fits the largest weight`, () => {
      const { blockSize } = QUANT_LAYOUTS[format]
      let better = 0
      for (let i = 0; i < 100; i++) {
        const values = Float32Array.from({ length: blockSize }, normal)
        const extreme = values.reduce((most, x) => (Math.abs(x) > Math.abs(most) ? x : most), 0)
        const plain = values.map((x) => (Math.max(-8, Math.min(7, Math.round((x * -8) / extreme))) * extreme) / -8)
        const back = dequantize(format, quantized(format, values, blockSize), 1, blockSize)
        const loss = (of: Float32Array) => of.reduce((sum, x, at) => sum + (x - values[at]!) ** 2, 0)
        assert.ok(loss(back) <= loss(plain) * (1 + 1e-5), `${loss(back)} for ${loss(plain)}`)
        if (loss(back) < 0.95 * loss(plain)) better++
      }
      assert.ok(better > 30, `${better} of 100 are clearly better`)
    })

  for (const format of FORMATS) {
    it(`has the error that ${format} is known for`, () => {
      const values = Float32Array.from({ length: 64 * 256 }, normal)
      const back = dequantize(format, quantized(format, values, 256), 64, 256)
      const norm = (of: (i: number) => number) => Math.sqrt(values.reduce((sum, _, i) => sum + of(i) ** 2, 0))
      const error = norm((i) => back[i]! - values[i]!) / norm((i) => values[i]!)
      assert.ok(error < ERRORS[format] && error > ERRORS[format] / 2, `${error}`)
    })

    it(`keeps zeros in ${format}`, () => {
      assert.ok(dequantize(format, quantized(format, new Float32Array(128), 64), 2, 64).every((x) => x === 0))
    })

    it(`lets a weight that is not finite show in ${format}`, () => {
      const values = new Float32Array(64).fill(1)
      values[3] = Number.NaN
      assert.ok(Number.isNaN(dequantize(format, quantized(format, values, 64), 1, 64)[3]))
    })
  }

  for (const [rows, columns] of [
    [8, 64],
    [19, 40],
    [33, 7],
    [1, 1],
  ] as const) {
    it(`keeps each row of a matrix of ${rows} x ${columns} in int8-rows, rotated, within half a step`, () => {
      const values = Float32Array.from({ length: rows * columns }, normal)
      const { codes, scales } = quantized('int8-rows', values, columns)
      const back = dequantize('int8-rows', { codes, scales }, rows, columns)
      for (let row = 0; row < rows; row++) {
        const square = values
          .subarray(row * columns, (row + 1) * columns)
          .reduce((sum, value, i) => sum + (value - back[row * columns + i]!) ** 2, 0)
        assert.ok(Math.sqrt(square / columns) <= 0.5 * scales[row]! + 1e-6, `row ${row}`)
      }
    })
  }

  it('has no neighbours of one sign in int8-rows whose products with bytes could overflow 16 bits', () => {
    const columns = 4096
    const values = Float32Array.from({ length: 4 * columns }, normal)
    const { codes } = quantized('int8-rows', values, columns)
    const signed = new Int8Array(codes.buffer)
    let most = 0
    for (let row = 0; row < 4; row++)
      for (let i = 0; i < columns; i += 2) {
        const [a, b] = [signed[i * 4 + row]!, signed[(i + 1) * 4 + row]!]
        if (a * b > 0) most = Math.max(most, Math.abs(a + b))
      }
    assert.ok(most <= 128 && most > 110, `${most}`)
  })

  it('reproduces each level of NF4, and goes to the nearest one', () => {
    const values = new Float32Array(64)
    values[0] = -2
    values[1] = 2
    values[2] = 2 * 0.0796
    values[3] = (2 * (0.07958029955625534 + 0.16093020141124725)) / 2 + 1e-4
    const { codes, scales } = quantized('nf4', values, 64)
    assert.equal(scales[0], 2)
    assert.deepEqual([...codes.subarray(0, 2)], [0x0f, 0x89])
  })

  it('uses all sixteen levels of int4 whatever the sign of the largest weight', () => {
    for (const sign of [1, -1]) {
      const values = Float32Array.from({ length: 32 }, (_, i) => (sign * (i < 16 ? i - 8 : 0)) / -8)
      const { codes } = quantized('int4', values, 32)
      assert.equal(new Set([...codes.subarray(0, 8)].flatMap((byte) => [byte & 15, byte >> 4])).size, 16)
    }
  })
})
