import type { DType } from '../../tensor/dtype.ts'
import type { Checkpoint } from '../checkpoint.ts'
import { isFloatDType } from '../config/config.ts'
import { CheckpointError, type CheckpointErrorCode, listSome } from '../errors.ts'
import type { TensorSlice } from './safetensors.ts'

/** A tensor that a model needs. */
export interface WantedTensor {
  readonly name: string
  readonly shape: readonly number[]
  /** The types that it may have; the float types where left out. */
  readonly dtypes?: readonly DType[] | undefined
}

/** Which stored tensors must all be wanted. */
export interface ReconcileScope {
  /** Starts of names, with or without what `bareName` takes away. */
  readonly prefixes: readonly string[]
  /** Names that may stay unused, e.g. buffers that old versions stored. */
  readonly ignore?: readonly RegExp[]
}

/**
 * A tensor's name without what classes around the bare model put before it: `model.`, `transformer.`,
 * `language_model.`.
 */
export function bareName(name: string): string {
  return name.replace(/^(?:(?:language_model|model|transformer)\.)+/, '')
}

const byBareName = new WeakMap<Checkpoint['tensors'], ReadonlyMap<string, TensorSlice>>()

/** Finds a tensor whatever classes the checkpoint was saved from. */
export function findTensor(tensors: Checkpoint['tensors'], name: string): TensorSlice | undefined {
  const exact = tensors.get(name)
  if (exact !== undefined) return exact
  const bare = byBareName.get(tensors) ?? new Map([...tensors].map(([stored, slice]) => [bareName(stored), slice]))
  byBareName.set(tensors, bare)
  return bare.get(bareName(name))
}

/**
 * Matches a model's tensors with a checkpoint's both ways: each wanted one is stored, with its shape and a float dtype,
 * and each stored one in scope is wanted. Returns the slices by wanted name. Throws `CHECKPOINT_MISSING_TENSOR`,
 * `CHECKPOINT_SHAPE`, `CHECKPOINT_DTYPE` or `CHECKPOINT_UNUSED_TENSOR`, naming the first offenders and their number.
 */
export function reconcile(
  wanted: readonly WantedTensor[],
  checkpoint: Pick<Checkpoint, 'folder' | 'tensors'>,
  scope: ReconcileScope,
): Map<string, TensorSlice> {
  const found = new Map<string, TensorSlice>()
  const missing: string[] = []
  const misshapen: string[] = []
  const mistyped: string[] = []
  for (const { name, shape, dtypes } of wanted) {
    const slice = findTensor(checkpoint.tensors, name)
    if (slice === undefined) {
      missing.push(name)
      continue
    }
    found.set(name, slice)
    if (slice.shape.join() !== shape.join()) misshapen.push(`${slice.name} [${slice.shape}] instead of [${shape}]`)
    if (dtypes === undefined ? !isFloatDType(slice.dtype) : !dtypes.includes(slice.dtype))
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

function unused(tensors: Checkpoint['tensors'], used: ReadonlySet<TensorSlice>, scope: ReconcileScope): string[] {
  const prefixes = scope.prefixes.map(bareName)
  return [...tensors.values()]
    .filter((slice) => !used.has(slice))
    .map((slice) => slice.name)
    .filter((name) => prefixes.some((prefix) => bareName(name).startsWith(prefix)))
    .filter((name) => !scope.ignore?.some((pattern) => pattern.test(name)))
}

function refuse(folder: string, code: CheckpointErrorCode, problem: string, offenders: readonly string[]): void {
  if (offenders.length === 0) return
  throw new CheckpointError(code, `${folder} ${problem}: ${listSome(offenders)} (${offenders.length} in all)`)
}
