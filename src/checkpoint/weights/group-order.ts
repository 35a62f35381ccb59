import { CheckpointError } from '../files/errors.ts'
import { readBytes } from './read.ts'
import type { TensorSlice } from './safetensors.ts'
import type { PackedQuant } from '../config/stored-quant.ts'

/**
 * Checks that weight i of a row is in group i / groupSize, as `MatMulNBits` has it. Quantizers that go through the
 * weights by their importance (`desc_act`, `actorder`) put neighbours into different groups and store which in; the
 * inputs would have to be reordered at every step. Synchronous. Throws `CHECKPOINT_FORMAT` for another order.
 */
export function requireNaturalOrder({ method, groupSize }: PackedQuant, slice: TensorSlice): void {
  const bytes = readBytes(slice)
  const groups = slice.dtype === 'int64' ? new BigInt64Array(bytes.buffer) : new Int32Array(bytes.buffer)
  // compressed-tensors takes an order that was never filled in for the natural one.
  if (method !== 'gptq' && method !== 'awq' && groups.some((group) => Number(group) === -1)) return
  const natural = (i: number) => (groupSize === 0 ? 0 : Math.floor(i / groupSize))
  const at = groups.findIndex((group: number | bigint, i: number) => Number(group) !== natural(i))
  if (at < 0) return
  throw new CheckpointError(
    'CHECKPOINT_FORMAT',
    `${slice.name} in ${slice.file} puts weight ${at} of a row into group ${groups[at]} instead of ${natural(at)}, ` +
      'an order (desc_act, actorder) that is not supported: name the checkpoint that this one was quantized from, ' +
      'with --quant',
  )
}
