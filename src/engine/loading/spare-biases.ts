import type { Checkpoint } from '../../checkpoint/checkpoint.ts'
import { CheckpointError } from '../../checkpoint/files/errors.ts'
import { findTensor } from '../../checkpoint/weights/names.ts'
import { readTensor } from '../../checkpoint/weights/read.ts'
import type { WantedTensor } from '../../checkpoint/weights/reconcile.ts'
import type { TensorSlice } from '../../checkpoint/weights/safetensors.ts'
import type { Graph } from '../../graph/builder.ts'
import { storedTensors } from '../../graph/parameter.ts'
import { asFloat32 } from '../../tensor/tensor.ts'

/** Pieces that only a quantized linear layer has. */
const PACKED = /\.(?:qweight|weight_packed|weight_scale|weight_scale_inv)$/

/**
 * Biases of quantized linear layers of which the model has none: quantizers store zeros for them. `stored` holds what
 * the model needs by names within the block.
 */
export function spareBiases(
  { tensors }: Pick<Checkpoint, 'tensors'>,
  prefix: string,
  stored: ReadonlyMap<string, WantedTensor>,
): WantedTensor[] {
  return [...stored.keys()]
    .filter((name) => PACKED.test(name))
    .map((name) => name.replace(PACKED, '.bias'))
    .flatMap((name) => {
      const slice = stored.has(name) ? undefined : findTensor(tensors, prefix + name)
      return slice === undefined ? [] : [{ name: prefix + name, shape: slice.shape }]
    })
}

/**
 * Checks that what a block stores beyond its graph's needs is zero. Synchronous: for loading threads. Throws
 * `CHECKPOINT_UNUSED_TENSOR` for a bias that is not, and as `readTensor`.
 */
export function requireZeroBiases({ parameters }: Graph, block: ReadonlyMap<string, TensorSlice>): void {
  const needed = new Set(parameters.flatMap(storedTensors).map(({ name }) => name))
  for (const [name, slice] of block) {
    if (needed.has(name) || !name.endsWith('.bias')) continue
    if (asFloat32(readTensor(slice, 'float32')).every((value) => value === 0)) continue
    throw new CheckpointError(
      'CHECKPOINT_UNUSED_TENSOR',
      `${slice.file} holds ${slice.name}, a bias that is not zero and that the model has no use for`,
    )
  }
}
