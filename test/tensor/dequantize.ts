import { NF4_LEVELS } from '../../src/tensor/nf4.ts'
import { rotationMatrix, rotationSize } from '../../src/tensor/rotation.ts'
import { QUANT_LAYOUTS, type QuantFormat, type QuantizedMatrix } from '../../src/tensor/quantize.ts'

/** By the formats' definitions, one weight at a time: [rows, columns]. */
export function dequantize(
  format: QuantFormat,
  { codes, scales }: QuantizedMatrix,
  rows: number,
  columns: number,
): Float32Array {
  if (format === 'int8-rows') return dequantizeRows(codes, scales, rows, columns)
  const { blockSize } = QUANT_LAYOUTS[format]
  const perRow = Math.ceil(columns / blockSize)
  return Float32Array.from({ length: rows * columns }, (_, i) => {
    if (format === 'nf4')
      return NF4_LEVELS[i % 2 === 0 ? codes[i >> 1]! >> 4 : codes[i >> 1]! & 15]! * scales[Math.floor(i / blockSize)]!
    const block = Math.floor(i / columns) * perRow + Math.floor((i % columns) / blockSize),
      within = (i % columns) % blockSize
    if (format === 'int8') return (codes[block * blockSize + within]! - 128) * scales[block]!
    const byte = codes[(block * blockSize + within) >> 1]!
    return ((within % 2 === 0 ? byte & 15 : byte >> 4) - 8) * scales[block]!
  })
}

/** The rotation is its own inverse. */
function dequantizeRows(codes: Uint8Array, scales: Float32Array, rows: number, columns: number): Float32Array {
  const size = rotationSize(columns),
    rotation = rotationMatrix(size)
  return Float32Array.from({ length: rows * columns }, (_, i) => {
    const row = Math.floor(i / columns),
      within = (i % columns) % size,
      first = (i % columns) - within
    let sum = 0
    for (let k = 0; k < size; k++)
      sum += ((codes[(first + k) * rows + row]! << 24) >> 24) * rotation[k * size + within]!
    return sum * scales[row]!
  })
}
