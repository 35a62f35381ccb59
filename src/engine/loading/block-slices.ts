import { reconcile } from '../../checkpoint/weights/reconcile.ts'
import { STORED_BESIDE } from '../../checkpoint/weights/stored-pieces.ts'
import type { TensorSlice } from '../../checkpoint/weights/safetensors.ts'
import { familyOf } from '../../families/models/index.ts'
import { type Parameter, storedTensors } from '../../graph/parameter.ts'
import { spareBiases } from './spare-biases.ts'
import type { BlockOptions } from './load.ts'

/**
 * The stored tensors of all parameters of each block of a span, by the names of parameters, or of their parts, within
 * the block. `graphs` has one for each. Throws `CheckpointError`.
 */
export function blockSlices(
  { checkpoint, start, end }: Pick<BlockOptions, 'checkpoint' | 'start' | 'end'>,
  graphs: readonly { readonly parameters: readonly Parameter[] }[],
): Map<string, TensorSlice>[] {
  const names = familyOf(checkpoint.config).names(checkpoint.config)
  return Array.from({ length: end - start }, (_, i) => {
    const prefix = names.blockPrefix(start + i)
    const stored = new Map(
      graphs[i]!.parameters.flatMap(storedTensors).map((tensor) => [
        tensor.name,
        { ...tensor, name: prefix + tensor.name },
      ]),
    )
    const isPacked = checkpoint.config.storedQuant !== undefined
    const wanted = [...stored.values(), ...(isPacked ? spareBiases(checkpoint, prefix, stored) : [])]
    const found = reconcile(wanted, checkpoint, {
      prefixes: [prefix],
      ignore: isPacked ? [...names.ignored, ...STORED_BESIDE] : [...names.ignored],
    })
    return new Map([...found].map(([name, slice]) => [name.slice(prefix.length), slice]))
  })
}
