import { int8Rows } from './int8-rows.ts'
import { nf4Codes } from './nf4.ts'

/** Formats whose scales belong to blocks of adjacent weights. */
export type BlockFormat = 'int8' | 'nf4' | 'int4'

/** How weights are kept in less than 16 bits: by blocks, or as `int8-rows.ts` says. */
export type QuantFormat = BlockFormat | 'int8-rows'

/** A matrix [rows, columns] as a quantized format keeps it. */
export interface QuantizedMatrix {
  readonly codes: Uint8Array
  /** One for each block, or row, in their order. */
  readonly scales: Float32Array
}

export const QUANTIZATIONS = ['none', 'int8', 'nf4', 'int4'] as const

/** What users name: `none` keeps the compute dtype. */
export type Quantization = (typeof QUANTIZATIONS)[number]

export interface QuantLayout {
  /** Adjacent weights that share a scale. */
  readonly blockSize: number
  readonly bits: number
  /** Whether each row begins with a block of its own; if not, blocks run over the ends of rows, as in bitsandbytes. */
  readonly blocksPerRow: boolean
}

/**
 * `int8` and `int4`: (code - 2^(bits - 1)) * scale, the lower half of a byte first, as `MatMulNBits` reads them. `nf4`:
 * a table's level times the scale, the upper half first (Dettmers et al., "QLoRA", and bitsandbytes).
 */
export const QUANT_LAYOUTS: Readonly<Record<BlockFormat, QuantLayout>> = {
  int8: { blockSize: 32, bits: 8, blocksPerRow: true },
  int4: { blockSize: 32, bits: 4, blocksPerRow: true },
  nf4: { blockSize: 64, bits: 4, blocksPerRow: false },
}

/** How many scales, and how many bytes of codes, a matrix takes. */
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
 * Quantizes rows of a matrix, `values` [rows, columns], into memory for them. Where blocks run over the ends of rows,
 * rows * columns must be whole blocks or the matrix's end. Weights that are not finite have no place: their block's
 * scale becomes NaN, so that what is computed with them says so.
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

/** The weight of the largest magnitude becomes -8, whatever its sign: all sixteen levels are used. */
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
