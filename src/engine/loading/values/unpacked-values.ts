import { requireNaturalOrder } from '../../../checkpoint/weights/group-order.ts'
import { readBytes, readTensor } from '../../../checkpoint/weights/read.ts'
import type { TensorSlice } from '../../../checkpoint/weights/safetensors.ts'
import type { PackedQuant } from '../../../checkpoint/config/stored-quant.ts'
import { computeBlock, type UnpackedMatrix, unpackMatrix } from '../../../checkpoint/weights/unpack.ts'
import type { StoredModule } from '../../../graph/parameter.ts'
import { asFloat32 } from '../../../tensor/tensor.ts'
import { rowsOf, type Slices } from './stored-rows.ts'

/** A part of a matrix: rows and columns from the first to the last, this one not included. */
interface Part {
  readonly rows: readonly [number, number]
  readonly columns: readonly [number, number]
}

/** A word holds so many weights, zero points are as many to a word. */
const PER_WORD = 8

/**
 * Reads a matrix that is stored as packed integers into `values` [out, in]: (code - zero) * scale, in parts of at most
 * `most` weights, if the format lets them be so small. Throws as `requireNaturalOrder`, `unpackMatrix` and
 * `readTensor`.
 */
export function* readUnpacked(
  quant: PackedQuant,
  module: StoredModule,
  slices: Slices,
  values: Float32Array,
  most: number,
): Generator<void> {
  const order = slices.get(`${module.name}.${quant.order}`)
  if (order !== undefined) requireNaturalOrder(quant, order)
  const inner = module.shape[1]
  for (const part of partsOf(quant, module.shape, most)) {
    const { own, matrix } = unpackPart(quant, module, slices, part)
    place(own, matrix, part, inner, values)
    yield
  }
}

/** Methods that pack a column's weights into words are read by columns, within one group; the others by rows. */
function* partsOf(quant: PackedQuant, [out, inner]: StoredModule['shape'], most: number): Generator<Part> {
  if (!isByColumn(quant)) {
    const height = Math.max(PER_WORD, Math.floor(most / inner / PER_WORD) * PER_WORD)
    for (let row = 0; row < out; row += height) yield { rows: [row, Math.min(out, row + height)], columns: [0, inner] }
    return
  }
  let width = quant.groupSize || inner
  while (width * out > most && width % 64 === 0) width /= 2
  for (let column = 0; column < inner; column += width)
    yield { rows: [0, out], columns: [column, Math.min(inner, column + width)] }
}

function isByColumn({ method }: PackedQuant): boolean {
  return method === 'gptq' || method === 'awq'
}

/** A part as a matrix of its own: by columns it is a piece of one group, which is all that its rows have. */
function unpackPart(
  quant: PackedQuant,
  { name, shape: [out, inner] }: StoredModule,
  slices: Slices,
  { rows: [top, bottom], columns: [left, right] }: Part,
): { readonly own: PackedQuant; readonly matrix: UnpackedMatrix } {
  const byColumn = isByColumn(quant)
  const own = byColumn ? { ...quant, groupSize: 0 } : quant
  const group = quant.groupSize === 0 ? 0 : Math.floor(left / quant.groupSize)
  const [from, to, whole] = byColumn ? [left, right, inner] : [top, bottom, out]
  /** Weights are packed along the axis that is cut, or along the other one. */
  const sliceOf = (piece: string): TensorSlice => {
    const slice = slices.get(`${name}.${piece}`)!
    if (byColumn && piece !== 'qweight') return rowsOf(slice, group, 1)
    const per = whole / slice.shape[0]! > 1 ? PER_WORD : 1
    return rowsOf(slice, from / per, Math.ceil(to / per) - from / per)
  }
  const stored = {
    bytes: (piece: string) => readBytes(sliceOf(piece)),
    floats: (piece: string) => asFloat32(readTensor(sliceOf(piece), 'float32')),
  }
  return { own, matrix: unpackMatrix(own, [bottom - top, right - left], stored) }
}

function place(
  quant: PackedQuant,
  { codes, scales, zeros }: UnpackedMatrix,
  { rows: [top, bottom], columns: [left, right] }: Part,
  inner: number,
  values: Float32Array,
): void {
  const width = right - left,
    block = computeBlock(quant, width),
    blocks = width / block,
    zeroBytes = Math.ceil(blocks / 2)
  for (let row = 0; row < bottom - top; row++) {
    for (let b = 0; b < blocks; b++) {
      const scale = scales[row * blocks + b]!,
        from = row * width + b * block,
        to = (top + row) * inner + left + b * block
      if (quant.bits === 8) {
        for (let i = 0; i < block; i++) values[to + i] = (codes[from + i]! - 128) * scale
        continue
      }
      const zero = zeros === undefined ? 8 : (zeros[row * zeroBytes + (b >> 1)]! >> ((b % 2) * 4)) & 15
      for (let i = 0; i < block; i += 2) {
        const byte = codes[(from + i) >> 1]!
        values[to + i] = ((byte & 15) - zero) * scale
        values[to + i + 1] = ((byte >> 4) - zero) * scale
      }
    }
  }
}
