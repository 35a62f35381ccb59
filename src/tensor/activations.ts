import { PetalsError } from '../base/errors.ts'
import type { DType, FloatDType } from './dtype.ts'
import { packedRowBytes } from './int8-blocks.ts'
import { type Tensor, byteLength, numElements } from './tensor.ts'

/** The forms in which activations may travel, by the names that users know; int8 is by blocks (`int8-blocks.ts`). */
export const WIRE_DTYPES = ['float32', 'float16', 'bfloat16', 'int8'] as const

export type WireDType = (typeof WIRE_DTYPES)[number]

/** Whether a text is the name of a form of activations. */
export function isWireDType(name: string): name is WireDType {
  return (WIRE_DTYPES as readonly string[]).includes(name)
}

/** Float32 rows [.., width] packed as int8 by blocks: no tensor, since its elements have no size of their own. */
export interface PackedTensor {
  readonly dtype: 'int8-blocks'
  readonly shape: readonly number[]
  readonly data: Uint8Array
}

/** Hidden states in a form in which they travel. */
export type Activations = Tensor | PackedTensor

/** The dtype of activations that travel so. */
export function travelDType(wire: WireDType): FloatDType | 'int8-blocks' {
  return wire === 'int8' ? 'int8-blocks' : wire
}

/** Bytes that activations of this dtype and shape take. */
export function activationBytes(dtype: DType | 'int8-blocks', shape: readonly number[]): number {
  if (dtype !== 'int8-blocks') return byteLength(dtype, shape)
  const width = shape.at(-1) ?? 1
  return (numElements(shape) / width) * packedRowBytes(width)
}

/** Bytes that packed ones among some activations take besides, once they are unpacked: as float32. */
export function unpackedBytes(all: readonly Omit<Activations, 'data'>[]): number {
  return all.reduce((sum, { dtype, shape }) => sum + (dtype === 'int8-blocks' ? byteLength('float32', shape) : 0), 0)
}

/** Rows one after another, of one dtype and width, as one; a copy unless there is one part only. */
export function concatRows<T extends Activations>(parts: readonly T[]): T {
  const [first] = parts
  if (first === undefined) throw new PetalsError('TENSOR_SHAPE', 'there are no rows to join')
  if (parts.length === 1) return first
  const data = new Uint8Array(parts.reduce((bytes, part) => bytes + part.data.byteLength, 0))
  let offset = 0
  let rows = 0
  for (const part of parts) {
    data.set(part.data, offset)
    offset += part.data.byteLength
    rows += part.shape[0]!
  }
  return { ...first, shape: [rows, ...first.shape.slice(1)], data }
}
