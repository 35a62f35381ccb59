import { readTensor } from '../checkpoint/read.ts'
import type { TensorSlice } from '../checkpoint/safetensors.ts'
import type { Parameter } from '../graph/value.ts'
import { type FloatDType, dtypeSize } from '../tensor/dtype.ts'
import { type Tensor, byteLength } from '../tensor/tensor.ts'

/**
 * Reads a parameter that is made of several stored tensors, converted to its dtype, into memory of its own. `slices` holds
 * them by the names of the parts. Synchronous: for loading threads. Throws as `readTensor`.
 */
export function assembleParameter(parameter: Parameter, slices: ReadonlyMap<string, TensorSlice>): Tensor {
  return assemble(parameter, (name) => readTensor(slices.get(name)!, parameter.dtype as FloatDType).data)
}

/** Puts the pieces of stored matrices, whose bytes `read` gives by name, in their places. */
export function assemble({ dtype, shape, parts = [] }: Parameter, read: (name: string) => Uint8Array): Tensor {
  const data = new Uint8Array(byteLength(dtype, shape))
  const size = dtypeSize(dtype as FloatDType)
  const rowBytes = shape.at(-1)! * size
  for (const { name, shape: [, columns], pieces } of parts) {
    const stored = read(name)
    for (const { row, column, rows, firstRow, rowStep } of pieces) {
      for (let i = 0; i < rows; i++) {
        const from = ((row + i) * columns + column) * size
        data.set(stored.subarray(from, from + rowBytes), (firstRow + i * rowStep) * rowBytes)
      }
    }
  }
  return { dtype, shape, data }
}
