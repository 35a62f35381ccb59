import { dtypeSize, type FloatDType } from './dtype.ts'
import { CONVERSION_ELEMENTS, REGION_BYTES, kernels } from './kernel-memory.ts'

/** Converts elements of one float type into another one. All conversions of a thread work in the same memory. */
export interface Conversion {
  /** Where the caller puts up to `CONVERSION_ELEMENTS` elements before `run`; `run` overwrites them. */
  readonly input: Uint8Array
  /**
   * Converts the first `count` elements of `input`. The result is valid until the next `run` of any conversion of the
   * thread.
   */
  run(count: number): Uint8Array
}

/**
 * Makes the conversion from one float type to another one. Widening is exact; narrowing rounds to nearest, ties to even
 * (overflow gives infinity, NaN stays NaN). Between float16 and bfloat16 it goes through float32.
 */
export function conversion(from: FloatDType, to: FloatDType): Conversion {
  const { bytes, ...functions } = kernels()
  const widen = from === 'bfloat16' ? functions.widenBfloat16 : functions.widenFloat16
  const narrow = to === 'bfloat16' ? functions.narrowBfloat16 : functions.narrowFloat16
  const run = (count: number): Uint8Array => {
    if (count > 0 && from !== 'float32') widen(0, REGION_BYTES, count * 2)
    if (to === 'float32') return bytes.subarray(REGION_BYTES, REGION_BYTES + count * 4)
    const [source, target] = from === 'float32' ? [0, REGION_BYTES] : [REGION_BYTES, 0]
    if (count > 0) narrow(source, target, source + count * 4)
    return bytes.subarray(target, target + count * 2)
  }
  return { input: bytes.subarray(0, CONVERSION_ELEMENTS * dtypeSize(from)), run }
}
