import { readTensor } from '../checkpoint/read.ts'
import type { TensorSlice } from '../checkpoint/safetensors.ts'
import type { Parameter } from '../graph/value.ts'
import { type FloatDType, dtypeSize } from '../tensor/dtype.ts'
import { type Tensor, byteLength } from '../tensor/tensor.ts'

/**
 * Reads a parameter that is made of several stored tensors, converted to its dtype, into memory of its own. `slices` holds
 * them by the names of the parts. Synchronous: for loading threads. Throws as `readTensor`.
 */
export function assembleParameter({ dtype, shape, parts = [] }: Parameter, slices: ReadonlyMap<string, TensorSlice>): Tensor {
  const data = new Uint8Array(byteLength(dtype, shape))
  const rowBytes = shape.at(-1)! * dtypeSize(dtype)
  for (const { name, firstRow, rowStep } of parts) {
    const slice = slices.get(name)!
    const rows = slice.shape[0]!
    if (rowStep === 1) {
      readTensor(slice, dtype as FloatDType, () => data.subarray(firstRow * rowBytes, (firstRow + rows) * rowBytes))
      continue
    }
    const part = readTensor(slice, dtype as FloatDType).data
    for (let row = 0; row < rows; row++) data.set(part.subarray(row * rowBytes, (row + 1) * rowBytes), (firstRow + row * rowStep) * rowBytes)
  }
  return { dtype, shape, data }
}
