import { setImmediate } from 'node:timers/promises'
import { PetalsError } from '../base/errors.ts'
import type { Activations } from './activations.ts'
import { areSoundRows } from './int8-blocks.ts'
import { type Tensor, asFloat32, numElements } from './tensor.ts'

/** The bits of the exponent: all of them are set in NaN and infinities only (IEEE 754). */
const EXPONENTS: Partial<Record<Tensor['dtype'], number>> = { float16: 0x7c00, bfloat16: 0x7f80 }

/**
 * Whether no element is NaN or infinite; packed rows that are none of finite values count as if one were. About a
 * millisecond per million elements. Throws `TENSOR_DTYPE` if the dtype is no float type.
 */
export function allFinite(source: Activations): boolean {
  if (source.dtype === 'int8-blocks') return areSoundRows(source.data, source.shape.at(-1) ?? 1)
  if (source.dtype === 'float32') {
    // A difference that is 0 for all others and NaN for these, so that one sum tells of all.
    let sum = 0
    for (const value of asFloat32(source)) sum += value - value
    return sum === 0
  }
  const exponent = EXPONENTS[source.dtype]
  if (exponent === undefined) throw new PetalsError('TENSOR_DTYPE', `${source.dtype} is no float type`)
  const data = source.data.byteOffset % 2 === 0 ? source.data : source.data.slice()
  for (const half of new Uint16Array(data.buffer, data.byteOffset, data.byteLength / 2))
    if ((half & exponent) === exponent) return false
  return true
}

/** Elements that `allFiniteInPieces` looks at before the event loop gets a turn: about a millisecond. */
const PIECE_ELEMENTS = 1_048_576

/** As `allFinite`, for threads that must stay responsive: after every million elements the event loop gets a turn. */
export async function allFiniteInPieces(source: Activations): Promise<boolean> {
  const { shape, data } = source
  if (numElements(shape) <= PIECE_ELEMENTS) return allFinite(source)
  // Packed elements cannot be told apart but by whole rows.
  const width = source.dtype === 'int8-blocks' ? shape.at(-1)! : 1,
    rows = numElements(shape) / width
  const rowBytes = data.byteLength / rows,
    pieceRows = Math.max(1, Math.floor(PIECE_ELEMENTS / width))
  for (let row = 0; row < rows; row += pieceRows) {
    if (row > 0) await setImmediate()
    const count = Math.min(pieceRows, rows - row)
    const piece = data.subarray(row * rowBytes, (row + count) * rowBytes)
    if (!allFinite({ ...source, shape: [count, width], data: piece })) return false
  }
  return true
}
