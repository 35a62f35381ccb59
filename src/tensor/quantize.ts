import { int8Rows } from './int8-rows.ts'
import { nf4Codes } from './nf4.ts'

/** Quantized formats with one scale for each block of adjacent weights. */
export type BlockFormat = 'int8' | 'nf4' | 'int4'

/**
 * How a matrix's weights are kept in less than 16 bits: in blocks with a scale each, or with a scale for each row
 * (`int8-rows.ts`).
 */
export type QuantFormat = BlockFormat | 'int8-rows'

/** A matrix [rows, columns] as a quantized format keeps it. */
export interface QuantizedMatrix {
  readonly codes: Uint8Array
  /** One per block, or per row for `int8-rows`, in row-major order. */
  readonly scales: Float32Array
}

export const QUANTIZATIONS = ['none', 'int8', 'nf4', 'int4'] as const

/** How users ask for a quantization; `none` keeps weights in the dtype that the model computes in. */
export type Quantization = (typeof QUANTIZATIONS)[number]

/** How a block format divides a matrix and packs its codes. */
export interface QuantLayout {
  /** How many adjacent weights share a scale. */
  readonly blockSize: number
  readonly bits: number
  /** Whether every row starts a new block. If not, blocks continue over the ends of rows, as in bitsandbytes. */
  readonly blocksPerRow: boolean
}

/**
 * The block formats. `int8` and `int4`: weight = (code - 2^(bits - 1)) * scale; of two codes in a byte the first is the
 * lower half, as onnxruntime's `MatMulNBits` reads them. `nf4`: weight = `NF4_LEVELS[code]` * scale, the first code in
 * the upper half (Dettmers et al., "QLoRA", and bitsandbytes).
 */
export const QUANT_LAYOUTS: Readonly<Record<BlockFormat, QuantLayout>> = {
  int8: { blockSize: 32, bits: 8, blocksPerRow: true },
  int4: { blockSize: 32, bits: 4, blocksPerRow: true },
  nf4: { blockSize: 64, bits: 4, blocksPerRow: false },
}

/** How many scales, and how many bytes of codes, a matrix [rows, columns] takes in a format. */
export function quantizedSizes(
  format: QuantFormat,
  rows: number,
  columns: number,
): { readonly blocks: number; readonly codeBytes: number } {
  if (format === 'int8-rows') return { blocks: rows, codeBytes: rows * columns }
  const { blockSize, bits, blocksPerRow } = QUANT_LAYOUTS[format]
  if (!blocksPerRow)
    return { blocks: Math.ceil((rows * columns) / blockSize), codeBytes: Math.ceil((rows * columns * bits) / 8) }
  const blocks = rows * Math.ceil(columns / blockSize)
  return { blocks, codeBytes: (blocks * blockSize * bits) / 8 }
}

/**
 * Quantizes rows of a matrix, `values` [rows, columns], into the given memory (see `quantizedSizes`). In a format whose
 * blocks continue over the ends of rows, rows * columns must be a multiple of the block size unless these are the
 * matrix's last rows. A block with a weight that is not finite gets the scale NaN, so that every product with it is
 * NaN.
 */
export function quantizeRows(
  format: QuantFormat,
  values: Float32Array,
  columns: number,
  { codes, scales }: QuantizedMatrix,
): void {
  if (format === 'nf4') nf4Codes(values, codes, scales)
  else if (format === 'int8-rows') int8Rows(values, columns, codes, scales)
  else if (format === 'int4')
    eachBlock(values, columns, (start, end, block) => int4Block(values, start, end, codes, block * HALF, scales, block))
  else
    eachBlock(values, columns, (start, end, block) =>
      int8Block(values, start, end, codes, block * BLOCK, scales, block),
    )
}

const BLOCK = 32
const HALF = BLOCK / 2

function eachBlock(
  values: Float32Array,
  columns: number,
  quantize: (start: number, end: number, block: number) => void,
): void {
  let block = 0
  for (let row = 0; row < values.length; row += columns) {
    const end = row + columns
    for (let start = row; start < end; start += BLOCK) quantize(start, Math.min(end, start + BLOCK), block++)
  }
}

/** Quantizes one block to codes 1 to 255; 128 stands for zero, and fills up a row's last block. */
function int8Block(
  values: Float32Array,
  start: number,
  end: number,
  codes: Uint8Array,
  to: number,
  scales: Float32Array,
  block: number,
): void {
  let most = 0
  for (let i = start; i < end; i++) most = Math.max(most, Math.abs(values[i]!))
  scales[block] = most / 127
  const inverse = most === 0 ? 0 : 127 / most
  for (let i = start; i < end; i++) codes[to + i - start] = values[i]! * inverse + 128.5
  codes.fill(128, to + end - start, to + BLOCK)
}

/**
 * Quantizes one block to codes 0 to 15. The weight of the largest magnitude becomes -8 (code 0) whatever its sign, so
 * the scale may be negative and all sixteen levels are used.
 */
function int4Block(
  values: Float32Array,
  start: number,
  end: number,
  codes: Uint8Array,
  to: number,
  scales: Float32Array,
  block: number,
): void {
  let low = 0,
    high = 0
  for (let i = start; i < end; i++) {
    const value = values[i]!
    low = Math.min(low, value)
    high = Math.max(high, value)
  }
  const extreme = high > -low ? high : low
  const inverse = extreme === 0 ? 0 : -8 / extreme
  scales[block] = extreme / -8
  const code = (i: number): number => (i < end ? Math.min(15, values[i]! * inverse + 8.5) | 0 : 8)
  for (let i = 0; i < HALF; i++) codes[to + i] = code(start + 2 * i) | (code(start + 2 * i + 1) << 4)
}
