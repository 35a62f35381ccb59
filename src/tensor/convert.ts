import { setImmediate } from 'node:timers/promises'
import { PetalsError } from '../base/errors.ts'
import { conversion } from './conversion.ts'
import { type DType, dtypeSize, type FloatDType } from './dtype.ts'
import { CONVERSION_ELEMENTS } from './kernel-memory.ts'
import { byteLength, type Tensor } from './tensor.ts'

/** Elements that `convertInPieces` converts before the event loop gets a turn: one to three milliseconds. */
const PIECE_ELEMENTS = 1_048_576

/**
 * The tensor's elements in another float type. Widening is exact; narrowing rounds to nearest, ties to even (overflow
 * gives infinity, NaN stays NaN). Returns `source` itself where it has the dtype already. Synchronous. Throws
 * `TENSOR_DTYPE` if either dtype is no float type.
 */
export function convert(source: Tensor, target: DType): Tensor {
  if (source.dtype === target) return source
  const [from, to] = floatPair(source.dtype, target)
  const data = new Uint8Array(byteLength(to, source.shape))
  convertElements(from, source.data, to, data)
  return { dtype: to, shape: source.shape, data }
}

/**
 * As `convert`, for threads that must stay responsive: after every million elements or so the event loop gets a turn.
 * `source` must not change until the promise resolves.
 */
export async function convertInPieces(source: Tensor, target: DType): Promise<Tensor> {
  if (source.dtype === target || source.data.byteLength <= PIECE_ELEMENTS * dtypeSize(source.dtype))
    return convert(source, target)
  const [from, to] = floatPair(source.dtype, target)
  const pieceBytes = PIECE_ELEMENTS * dtypeSize(from)
  const ratio = dtypeSize(to) / dtypeSize(from)
  // The result's memory is first written piece by piece: touching fresh pages takes longer than converting.
  const data = new Uint8Array(byteLength(to, source.shape))
  for (let start = 0; start < source.data.byteLength; start += pieceBytes) {
    if (start > 0) await setImmediate()
    const end = Math.min(start + pieceBytes, source.data.byteLength)
    convertElements(from, source.data.subarray(start, end), to, data.subarray(start * ratio, end * ratio))
  }
  return { dtype: to, shape: source.shape, data }
}

/** Converts all elements of `source` into `target`, which must hold exactly as many elements of type `to`. */
export function convertElements(from: FloatDType, source: Uint8Array, to: FloatDType, target: Uint8Array): void {
  const size = dtypeSize(from)
  const count = source.byteLength / size
  if (!Number.isInteger(count) || target.byteLength !== count * dtypeSize(to)) {
    throw new PetalsError(
      'TENSOR_SHAPE',
      `${source.byteLength} bytes of ${from} do not convert into ${target.byteLength} bytes of ${to}`,
    )
  }
  if (from === to) {
    target.set(source)
    return
  }
  const { input, run } = conversion(from, to)
  for (let done = 0; done < count; done += CONVERSION_ELEMENTS) {
    const turn = Math.min(CONVERSION_ELEMENTS, count - done)
    input.set(source.subarray(done * size, (done + turn) * size))
    target.set(run(turn), done * dtypeSize(to))
  }
}

function floatPair(from: DType, to: DType): [FloatDType, FloatDType] {
  if (isFloat(from) && isFloat(to)) return [from, to]
  throw new PetalsError('TENSOR_DTYPE', `cannot convert ${from} to ${to}: only float types convert`)
}

function isFloat(dtype: DType): dtype is FloatDType {
  return dtype === 'float32' || dtype === 'float16' || dtype === 'bfloat16'
}
