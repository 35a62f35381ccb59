import { LORA_MASK, loraInputs } from '../../graph/lora-names.ts'
import type { Pointer } from '../../runtime/library.ts'
import type { Bound } from '../../runtime/run.ts'
import type { TensorScope } from '../../runtime/tensor-scope.ts'
import { convert } from '../../tensor/convert.ts'
import { dtypeSize, type FloatDType } from '../../tensor/dtype.ts'
import { fromFloat32 } from '../../tensor/tensor.ts'
import type { AdapterStack, RankRange } from './adapter-memory.ts'

const NOTHING: RankRange = { first: 0, ranks: 0 }

/** The ranks that cover the adapters of all rows of a batch. */
export function coveringRange(rows: readonly (RankRange | undefined)[]): RankRange {
  const used = rows.filter((row) => row !== undefined)
  if (used.length === 0) return NOTHING
  const first = Math.min(...used.map((row) => row.first))
  return { first, ranks: Math.max(...used.map((row) => row.first + row.ranks)) - first }
}

/** Which ranks of a range each row uses: [rows, 1, ranks]. */
function adapterMask(rows: readonly (RankRange | undefined)[], { first, ranks }: RankRange): Float32Array {
  const mask = new Float32Array(rows.length * ranks)
  for (const [i, row] of rows.entries())
    if (row !== undefined) mask.fill(1, i * ranks + row.first - first, i * ranks + row.first - first + row.ranks)
  return mask
}

export interface AdapterBinding {
  readonly scope: TensorScope
  /** Where the mask lies, and where the stacks do. */
  readonly host: Pointer
  readonly memory: Pointer
  readonly dtype: FloatDType
}

/** Binds the mask of a run. */
export function bindMask({ scope, host, dtype }: AdapterBinding, rows: readonly (RankRange | undefined)[]): Bound {
  const range = coveringRange(rows)
  const mask = convert(fromFloat32(adapterMask(rows, range), [rows.length, 1, range.ranks]), dtype)
  return [LORA_MASK, scope.wrap(host, dtype, mask.shape, mask.data)]
}

/** Binds the ranks of a run in the stacks of one block. */
export function bindStacks(binding: AdapterBinding, stacks: readonly AdapterStack[], range: RankRange): Bound[] {
  return stacks.flatMap(({ name, inFeatures, outFeatures, a, b }): Bound[] => {
    const names = loraInputs(name)
    return [
      [names.a, wrapRanks(binding, a, inFeatures, range)],
      [names.b, wrapRanks(binding, b, outFeatures, range)],
    ]
  })
}

function wrapRanks(
  { scope, memory, dtype }: AdapterBinding,
  stack: Pointer,
  width: number,
  { first, ranks }: RankRange,
): Pointer {
  return scope.wrap(memory, dtype, [ranks, width], stack + BigInt(first * width * dtypeSize(dtype)))
}
