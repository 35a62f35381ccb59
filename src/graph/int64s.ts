import { type Tensor, tensor } from '../tensor/tensor.ts'

/** Whole numbers as a tensor int64 [count]: sizes, axes and places that operators take. */
export function int64s(values: readonly number[]): Tensor {
  const words = BigInt64Array.from(values, BigInt)
  return tensor('int64', [values.length], new Uint8Array(words.buffer))
}
