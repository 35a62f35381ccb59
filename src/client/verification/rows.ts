import type { Tensor } from '../../tensor/tensor.ts'
import { asFloat32 } from '../../tensor/tensor.ts'
import type { FloatDType } from '../../tensor/dtype.ts'
import { FLOAT32_TOLERANCE, toleranceOf } from './tolerance.ts'

/**
 * The result of one comparison. `ok` is null if this program does not compute such a thing; `reason` says so, or what
 * failed.
 */
export interface VerifyRow {
  /** Where the chain was cut, e.g. `1,2`. */
  readonly cut: string
  /** How the numbers were computed: `forward`, or `inference` with the size of its chunks. */
  readonly path: string
  readonly tensor: string
  /** The largest absolute difference; of ids, how many differ. */
  readonly maxAbs: number | null
  readonly tolerance: number | null
  /** The dtype whose rounding `tolerance` allows for; null if it allows for none, as for ids. */
  readonly toleranceFor: FloatDType | null
  readonly ok: boolean | null
  readonly reason?: string | undefined
}

/** A comparison, without where it was made. */
export type Outcome = Omit<VerifyRow, 'cut' | 'path'>

/** Compares values, which servers computed in `dtype`, with a reference of as many elements. */
export function compare(
  name: string,
  values: Float32Array,
  reference: Float32Array,
  dtype: FloatDType = 'float32',
): Outcome {
  if (values.length !== reference.length)
    return failed(name, `${values.length} values were computed, the file has ${reference.length}`)
  let maxAbs = 0
  let squares = 0
  let largest = 0
  for (const [i, expected] of reference.entries()) {
    const value = values[i]!
    // With NaN every comparison is false.
    if (!Number.isFinite(value)) return failed(name, `value ${i} is ${value}`)
    maxAbs = Math.max(maxAbs, Math.abs(value - expected))
    squares += expected ** 2
    largest = Math.max(largest, Math.abs(expected))
  }
  const rootMeanSquare = Math.sqrt(squares / Math.max(1, reference.length))
  const tolerance = toleranceOf(dtype, { largest, rootMeanSquare })
  return { tensor: name, maxAbs, tolerance, toleranceFor: dtype, ok: maxAbs <= tolerance }
}

/**
 * Compares gradients with a reference of as many elements. They may be of any size, so the largest difference that
 * passes is relative to the reference's largest value.
 */
export function compareGradients(name: string, values: Float32Array, reference: Float32Array): Outcome {
  const largest = reference.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
  const outcome = compare(name, values, reference)
  const tolerance = FLOAT32_TOLERANCE * largest
  return outcome.maxAbs === null ? outcome : { ...outcome, tolerance, ok: outcome.maxAbs <= tolerance }
}

/** As `compare`, for tensors. */
export function compareTensors(name: string, values: Tensor, reference: Tensor, dtype?: FloatDType): Outcome {
  return compare(name, asFloat32(values), asFloat32(reference), dtype)
}

/** Counts the token ids that differ. */
export function compareIds(name: string, ids: readonly number[], reference: readonly number[]): Outcome {
  const differ = reference.filter((id, i) => ids[i] !== id).length + Math.max(0, ids.length - reference.length)
  return { tensor: name, maxAbs: differ, tolerance: 0, toleranceFor: null, ok: differ === 0 }
}

/** The outcome of a comparison that could not be made because of an error. */
export function failed(name: string, reason: string): Outcome {
  return { tensor: name, maxAbs: null, tolerance: null, toleranceFor: null, ok: false, reason }
}

/** The outcome of a comparison that is not made; `reason` says why. */
export function notAskedFor(name: string, reason: string): Outcome {
  return { tensor: name, maxAbs: null, tolerance: null, toleranceFor: null, ok: null, reason }
}

/** log softmax(logits)[id]. */
export function logProbability(logits: Float32Array, id: number): number {
  const max = logits.reduce((a, b) => Math.max(a, b), -Infinity)
  let sum = 0
  for (const logit of logits) sum += Math.exp(logit - max)
  return logits[id]! - max - Math.log(sum)
}
