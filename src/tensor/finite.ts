import { setImmediate } from 'node:timers/promises'
import { PetalsError } from '../base/errors.ts'
import { dtypeSize } from './dtype.ts'
import { type Tensor, asFloat32 } from './tensor.ts'

/** The bits of the exponent: all of them are set in NaN and infinities only (IEEE 754). */
const EXPONENTS: Partial<Record<Tensor['dtype'], number>> = { float16: 0x7c00, bfloat16: 0x7f80 }

/**
 * Whether no element is NaN or infinite. About a millisecond per million elements. Throws `TENSOR_DTYPE` if the dtype
 * is no float type.
 */
export function allFinite(source: Tensor): boolean {
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
export async function allFiniteInPieces(source: Tensor): Promise<boolean> {
  const { dtype, data } = source
  const pieceBytes = PIECE_ELEMENTS * dtypeSize(dtype)
  if (data.byteLength <= pieceBytes) return allFinite(source)
  for (let start = 0; start < data.byteLength; start += pieceBytes) {
    if (start > 0) await setImmediate()
    const piece = data.subarray(start, start + pieceBytes)
    if (!allFinite({ dtype, shape: [piece.byteLength / dtypeSize(dtype)], data: piece })) return false
  }
  return true
}
