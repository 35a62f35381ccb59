import { PetalsError } from '../base/errors.ts'
import { type DType, dtypeSize } from './dtype.ts'

/** A dense, row-major tensor: its elements are `data`, little-endian, without padding. */
export interface Tensor {
  readonly dtype: DType
  readonly shape: readonly number[]
  readonly data: Uint8Array
}

/** How many elements a tensor of this shape has. */
export function numElements(shape: readonly number[]): number {
  return shape.reduce((product, dim) => product * dim, 1)
}

/** How many bytes a tensor of this dtype and shape takes. */
export function byteLength(dtype: DType, shape: readonly number[]): number {
  return numElements(shape) * dtypeSize(dtype)
}

/**
 * Makes a tensor of `data`, without a copy. Throws `TENSOR_SHAPE` unless `data` has exactly the bytes that dtype and
 * shape take.
 */
export function tensor(dtype: DType, shape: readonly number[], data: Uint8Array): Tensor {
  if (data.byteLength !== byteLength(dtype, shape)) {
    throw new PetalsError(
      'TENSOR_SHAPE',
      `a ${dtype} tensor [${shape}] takes ${byteLength(dtype, shape)} bytes, not ${data.byteLength}`,
    )
  }
  return { dtype, shape, data }
}

/**
 * A float32 tensor over the same memory as `values`. Throws `TENSOR_SHAPE` where the shape has another number of
 * elements.
 */
export function fromFloat32(values: Float32Array, shape: readonly number[]): Tensor {
  return tensor('float32', shape, new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
}

/**
 * A float32 tensor's elements, as a view of its memory; copied only where the bytes are not aligned to 4. Throws
 * `TENSOR_DTYPE` for other dtypes.
 */
export function asFloat32(source: Tensor): Float32Array {
  if (source.dtype !== 'float32') throw new PetalsError('TENSOR_DTYPE', `expected float32, got ${source.dtype}`)
  const { data } = source
  if (data.byteOffset % 4 === 0) return new Float32Array(data.buffer, data.byteOffset, data.byteLength / 4)
  return new Float32Array(data.slice().buffer)
}

/** Rows `start` to `end` of the first axis, without a copy. */
export function sliceRows<T extends Pick<Tensor, 'shape' | 'data'>>(source: T, start: number, end: number): T {
  const [rows = 0, ...rest] = source.shape
  const rowBytes = rows === 0 ? 0 : source.data.byteLength / rows
  return {
    ...source,
    shape: [end - start, ...rest],
    data: source.data.subarray(start * rowBytes, end * rowBytes),
  }
}
