import { int8Rows } from './int8-rows.ts'
import { nf4Codes } from './nf4.ts'

/** Quantized formats with one scale for each block of adjacent weights. */
export type BlockFormat = 'int8' | 'nf4' | 'int4' | 'int4-128'

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
 * The block formats. `int8`, `int4` and `int4-128`: weight = (code - 2^(bits - 1)) * scale; of two codes in a byte the
 * first is the lower half, as onnxruntime's `MatMulNBits` reads them. `nf4`: weight = `NF4_LEVELS[code]` * scale, the
 * first code in the upper half (Dettmers et al., "QLoRA", and bitsandbytes).
 */
export const QUANT_LAYOUTS: Readonly<Record<BlockFormat, QuantLayout>> = {
  int8: { blockSize: 32, bits: 8, blocksPerRow: true },
  int4: { blockSize: 32, bits: 4, blocksPerRow: true },
  'int4-128': { blockSize: 128, bits: 4, blocksPerRow: true },
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
  else if (format === 'int8')
    eachBlock(values, columns, INT8_BLOCK, (start, end, block) =>
      int8Block(values, start, end, codes, block * INT8_BLOCK, scales, block),
    )
  else {
    const { blockSize } = QUANT_LAYOUTS[format]
    eachBlock(values, columns, blockSize, (start, end, block) => {
      scales[block] = int4Block(
        values,
        start,
        end,
        codes.subarray((block * blockSize) / 2, ((block + 1) * blockSize) / 2),
      )
    })
  }
}

const INT8_BLOCK = QUANT_LAYOUTS.int8.blockSize

function eachBlock(
  values: Float32Array,
  columns: number,
  blockSize: number,
  quantize: (start: number, end: number, block: number) => void,
): void {
  let block = 0
  for (let row = 0; row < values.length; row += columns) {
    const end = row + columns
    for (let start = row; start < end; start += blockSize) quantize(start, Math.min(end, start + blockSize), block++)
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
  codes.fill(128, to + end - start, to + INT8_BLOCK)
}

/** Shares of a block's largest magnitude that level -8 is tried for: what lies beyond is cut off. */
const INT4_SHARES = [1, 0.9, 0.8]

/**
 * Quantizes one block to codes 0 to 15 and fills up a row's last block with 8, which stands for zero. Returns the
 * scale, which is negative where the weight of the largest magnitude is positive: so all sixteen levels are used.
 */
function int4Block(values: Float32Array, start: number, end: number, codes: Uint8Array): number {
  const scale = int4Scale(values, start, end)
  const inverse = scale === 0 ? 0 : 1 / scale
  const code = (i: number): number => (i < end ? nearestCode(values[i]! * inverse) : 8)
  for (let i = 0; i < codes.length; i++) codes[i] = code(start + 2 * i) | (code(start + 2 * i + 1) << 4)
  return scale
}

/**
 * A scale of small squared error. For levels q of weights w it is the least with sum(w q) / sum(q q), which takes
 * sum(w q)^2 / sum(q q) off the sum of squares; the levels are those of the share that gains most.
 */
function int4Scale(values: Float32Array, start: number, end: number): number {
  let low = 0
  let high = 0
  for (let i = start; i < end; i++) {
    const value = values[i]!
    low = Math.min(low, value)
    high = Math.max(high, value)
  }
  const extreme = high > -low ? high : low
  if (extreme === 0) return 0
  if (!Number.isFinite(extreme)) return Number.NaN
  let scale = Number.NaN
  let most = 0
  for (const share of INT4_SHARES) {
    const inverse = -8 / (extreme * share)
    let product = 0
    let square = 0
    for (let i = start; i < end; i++) {
      const level = nearestCode(values[i]! * inverse) - 8
      product += values[i]! * level
      square += level * level
    }
    const gain = (product * product) / square
    if (gain > most) [most, scale] = [gain, product / square]
  }
  return scale
}

function nearestCode(steps: number): number {
  return Math.max(0, Math.min(15, steps + 8.5)) | 0
}
