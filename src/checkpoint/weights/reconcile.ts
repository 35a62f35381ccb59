import type { DType } from '../../tensor/dtype.ts'
import { isFloatDType } from '../config/config.ts'
import { CheckpointError, type CheckpointErrorCode, listSome } from '../files/errors.ts'
import { bareName, findTensor, isBuffer } from './names.ts'
import type { TensorSlice } from './safetensors.ts'

/** A tensor that a model's graphs need. */
export interface WantedTensor {
  readonly name: string
  readonly shape: readonly number[]
  /** The dtypes that the stored tensor may have; by default the float types. */
  readonly dtypes?: readonly DType[] | undefined
  /** Whether a checkpoint may lack it. */
  readonly optional?: boolean
}

/** The tensors that a checkpoint stores. */
export interface StoredTensors {
  /** Names the checkpoint in messages. */
  readonly folder: string
  /** By their names as stored. */
  readonly tensors: ReadonlyMap<string, TensorSlice>
}

/** The stored tensors that are checked: each of them must be wanted. */
export interface ReconcileScope {
  /** Prefixes of names, with or without the part that `bareName` removes. */
  readonly prefixes: readonly string[]
  /** Names of tensors that may stay unused, e.g. buffers that old versions stored. */
  readonly ignore?: readonly RegExp[]
}

/**
 * Matches the tensors that a model needs with those that a checkpoint stores, both ways: each wanted tensor must be
 * stored, unless it is optional, with its shape and an accepted dtype, and each stored tensor in scope must be wanted.
 * Returns the slices by the wanted names. Throws `CHECKPOINT_MISSING_TENSOR`, `CHECKPOINT_SHAPE`, `CHECKPOINT_DTYPE` or
 * `CHECKPOINT_UNUSED_TENSOR`, naming the first offending tensors and how many there are.
 */
export function reconcile(
  wanted: readonly WantedTensor[],
  checkpoint: StoredTensors,
  scope: ReconcileScope,
): Map<string, TensorSlice> {
  const found = new Map<string, TensorSlice>()
  const missing: string[] = []
  const misshapen: string[] = []
  const mistyped: string[] = []
  for (const { name, shape, dtypes, optional } of wanted) {
    const slice = findTensor(checkpoint.tensors, name)
    if (slice === undefined) {
      if (optional !== true) missing.push(name)
      continue
    }
    found.set(name, slice)
    if (slice.shape.join() !== shape.join()) misshapen.push(`${slice.name} [${slice.shape}] instead of [${shape}]`)
    if (dtypes === undefined ? !isFloatDType(slice.dtype) : !dtypes.some((dtype) => dtype === slice.dtype))
      mistyped.push(`${slice.name} (${slice.dtype})`)
  }
  refuse(checkpoint.folder, 'CHECKPOINT_MISSING_TENSOR', 'lacks tensors that the model needs', missing)
  refuse(checkpoint.folder, 'CHECKPOINT_SHAPE', 'holds tensors whose shapes do not fit config.json', misshapen)
  refuse(checkpoint.folder, 'CHECKPOINT_DTYPE', 'holds tensors of types that they cannot have', mistyped)
  refuse(
    checkpoint.folder,
    'CHECKPOINT_UNUSED_TENSOR',
    'holds tensors that the model has no use for',
    unused(checkpoint.tensors, new Set(found.values()), scope),
  )
  return found
}

function unused(tensors: StoredTensors['tensors'], used: ReadonlySet<TensorSlice>, scope: ReconcileScope): string[] {
  const prefixes = scope.prefixes.map(bareName)
  return [...tensors.values()]
    .filter((slice) => !used.has(slice))
    .map((slice) => slice.name)
    .filter((name) => prefixes.some((prefix) => bareName(name).startsWith(prefix)))
    .filter((name) => !isBuffer(name) && !scope.ignore?.some((pattern) => pattern.test(name)))
}

function refuse(folder: string, code: CheckpointErrorCode, problem: string, offenders: readonly string[]): void {
  if (offenders.length === 0) return
  throw new CheckpointError(code, `${folder} ${problem}: ${listSome(offenders)} (${offenders.length} in all)`)
}
