import { setImmediate } from 'node:timers/promises'
import { PetalsError } from '../base/errors.ts'
import type { Activations } from './activations.ts'
import { areSoundRows } from './int8-blocks.ts'
import { REGION_BYTES, kernels } from './kernel-memory.ts'
import { type Tensor, numElements } from './tensor.ts'

/** The bits of the exponent: all of them are set in NaN and infinities only (IEEE 754). */
const EXPONENTS: Partial<Record<Tensor['dtype'], number>> = { float16: 0x7c00, bfloat16: 0x7f80 }

/** Bytes that a kernel looks at together. */
const VECTOR_BYTES = 16

/**
 * Whether no element is NaN or infinite; packed rows that are none of finite values count as if one were. Well under a
 * millisecond per million elements. Throws `TENSOR_DTYPE` if the dtype is no float type.
 */
export function allFinite(source: Activations): boolean {
  const { dtype, shape, data } = source
  if (dtype === 'int8-blocks') return areSoundRows(data, shape.at(-1) ?? 1)
  const exponent = EXPONENTS[dtype]
  if (dtype !== 'float32' && exponent === undefined) throw new PetalsError('TENSOR_DTYPE', `${dtype} is no float type`)
  const { bytes, finiteFloat32, finiteHalf } = kernels()
  for (let at = 0; at < data.byteLength; at += REGION_BYTES) {
    const size = Math.min(REGION_BYTES, data.byteLength - at)
    bytes.set(data.subarray(at, at + size))
    // What the kernel looks at behind the last element.
    bytes.fill(0, size, size + VECTOR_BYTES)
    const isFinite = exponent === undefined ? finiteFloat32(0, size) : finiteHalf(0, size, exponent)
    if (isFinite === 0) return false
  }
  return true
}

/** Elements that `allFiniteInPieces` looks at before the event loop gets a turn: about a millisecond. */
const PIECE_ELEMENTS = 1_048_576

/** As `allFinite`, for threads that must stay responsive: after every million elements the event loop gets a turn. */
export async function allFiniteInPieces(source: Activations): Promise<boolean> {
  const { shape, data } = source
  if (numElements(shape) <= PIECE_ELEMENTS) return allFinite(source)
  // Packed elements cannot be told apart but by whole rows.
  const width = source.dtype === 'int8-blocks' ? shape.at(-1)! : 1
  const rows = numElements(shape) / width
  const rowBytes = data.byteLength / rows
  const pieceRows = Math.max(1, Math.floor(PIECE_ELEMENTS / width))
  for (let row = 0; row < rows; row += pieceRows) {
    if (row > 0) await setImmediate()
    const count = Math.min(pieceRows, rows - row)
    const piece = data.subarray(row * rowBytes, (row + count) * rowBytes)
    if (!allFinite({ ...source, shape: [count, width], data: piece })) return false
  }
  return true
}
