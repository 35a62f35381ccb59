import type { FloatDType } from '../../tensor/dtype.ts'

/**
 * The largest difference from a reference that float32 explains for values of about 1, as hidden states and logits are.
 */
export const FLOAT32_TOLERANCE = 1e-4

/**
 * The largest difference from a reference that computing in 16 bits explains, as a share of the reference's largest
 * value: of sums that are added up in 16 bits, the largest term's rounding counts. float16 rounds to 11 bits (0.05 %),
 * bfloat16 to 8 (0.4 %), at each of the operators of a chain of blocks.
 */
export const SHARE_OF_LARGEST = { float16: 1e-2, bfloat16: 5e-2 } as const

/** How large a reference's values are. */
export interface Magnitude {
  readonly largest: number
  readonly rootMeanSquare: number
}

/**
 * The largest difference that passes for what servers computed in a dtype: in float32 absolute for values of about 1,
 * relative to the reference's root mean square if that is larger.
 */
export function toleranceOf(dtype: FloatDType, { largest, rootMeanSquare }: Magnitude): number {
  if (dtype === 'float32') return FLOAT32_TOLERANCE * Math.max(1, rootMeanSquare)
  return SHARE_OF_LARGEST[dtype] * largest
}

/** The same in words. */
export function toleranceText(dtype: FloatDType): string {
  if (dtype === 'float32')
    return (
      `${FLOAT32_TOLERANCE.toExponential()}, times the reference's root mean square where that is above 1; ` +
      'of gradients, times their largest value'
    )
  return `${SHARE_OF_LARGEST[dtype] * 100} % of the reference's largest value, which adding up in ${dtype} explains`
}
