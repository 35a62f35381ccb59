import { readRows } from '../../../checkpoint/weights/read.ts'
import { readSafetensorsHeader } from '../../../checkpoint/weights/safetensors.ts'
import { PetalsError } from '../../../base/errors.ts'
import type { Tensor } from '../../../tensor/tensor.ts'

/**
 * All tensors of a safetensors file, which must be float32. Throws `CHECKPOINT_...` for a damaged file, and
 * `CHECKPOINT_DTYPE` for other types.
 */
export async function readTensors(file: string): Promise<Map<string, Tensor>> {
  const tensors = new Map<string, Tensor>()
  for (const slice of await readSafetensorsHeader(file)) {
    const { name, dtype, shape } = slice
    if (dtype !== 'float32')
      throw new PetalsError('CHECKPOINT_DTYPE', `tensor ${name} in ${file} is ${dtype}, not float32`)
    tensors.set(name, { dtype, shape, data: await readRows(slice, 0, shape[0] ?? 1) })
  }
  return tensors
}
