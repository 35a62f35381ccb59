import type { StoredPiece } from './stored-pieces.ts'

/** How many adjacent weights of a row share a scale, and how many bytes they are packed in. */
const BLOCK = 32
const BLOCK_BYTES = BLOCK / 2

/**
 * Twice the value of each four-bit float (e2m1: sign, two bits of exponent, one of fraction), a whole number, plus the
 * 128 that stands for zero in 8 bits.
 */
const CODES = Uint8Array.from(
  [0, 1, 2, 3, 4, 6, 8, 12]
    .flatMap((twice) => 128 + twice)
    .concat([0, 1, 2, 3, 4, 6, 8, 12].map((twice) => 128 - twice)),
)

/**
 * Half of what each scale stands for: a power of two, whose exponent is stored plus 127 (e8m0). All ones are NaN
 * (Rouhani et al., "OCP Microscaling Formats (MX) Specification").
 */
const HALF_SCALES = Float32Array.from({ length: 256 }, (_, bits) => (bits === 255 ? Number.NaN : 2 ** (bits - 128)))

/** The two tensors that matrices [..., out, in] are stored in; `in` is a multiple of 32. */
export function mxfp4Pieces(name: string, shape: readonly number[]): StoredPiece[] {
  const blocks = [...shape.slice(0, -1), shape.at(-1)! / BLOCK]
  return [
    { name: `${name}_blocks`, shape: [...blocks, BLOCK_BYTES], dtypes: ['uint8'] },
    { name: `${name}_scales`, shape: blocks, dtypes: ['uint8'] },
  ]
}

/**
 * Weights of 32 stored bytes of codes or more: two in a byte, the first in the lower half, become one byte each, as
 * onnxruntime's `QMoE` reads 8 bits: weight = (code - 128) * scale. Twice a four-bit float is a whole number up to 12,
 * so nothing is rounded.
 */
export function widenCodes(stored: Uint8Array, codes: Uint8Array): void {
  for (const [i, byte] of stored.entries()) {
    codes[2 * i] = CODES[byte & 15]!
    codes[2 * i + 1] = CODES[byte >> 4]!
  }
}

/** The scales that belong to the codes of `widenCodes`. */
export function widenScales(stored: Uint8Array, scales: Float32Array): void {
  for (const [i, bits] of stored.entries()) scales[i] = HALF_SCALES[bits]!
}
