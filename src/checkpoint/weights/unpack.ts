import type { Tensor } from '../../tensor/tensor.ts'
import { CheckpointError } from '../files/errors.ts'
import type { Float8Quant, PackedQuant } from '../config/stored-quant.ts'
import { groupsOf } from './stored-pieces.ts'

/** Gives the stored tensors of one linear layer, as bytes or as floats. */
export interface StoredValues {
  bytes(piece: string): Uint8Array
  floats(piece: string): Float32Array
}

/**
 * A matrix [out, in] in the order that onnxruntime's `MatMulNBits` reads: weight = (code - zero) * scale; of two codes
 * in a byte the first is the lower half.
 */
export interface UnpackedMatrix {
  /** [out, in * bits / 8] */
  readonly codes: Uint8Array
  /** [out, blocks]: one for each `blockSize` weights of a row. */
  readonly scales: Float32Array
  /** [out, bytes of a row's zero points]; undefined if all are half of the range. */
  readonly zeros: Uint8Array | undefined
}

/** AWQ packs eight weights into a word in this order: place i of a word holds weight AWQ_ORDER[i]. */
const AWQ_ORDER = [0, 2, 4, 6, 1, 3, 5, 7]

/**
 * The block size for `MatMulNBits`: the group size or, where a whole row is one group, a block size that divides the
 * row.
 */
export function computeBlock({ groupSize }: Pick<PackedQuant, 'groupSize'>, inFeatures: number): number {
  return groupSize !== 0 ? groupSize : ([128, 64, 32].find((size) => inFeatures % size === 0) ?? 16)
}

/**
 * Puts stored integers, scales and zero points into the order of `UnpackedMatrix`; nothing is rounded. Throws
 * `CHECKPOINT_FORMAT` for zero points outside of the integers' range.
 */
export function unpackMatrix(
  quant: PackedQuant,
  [out, inner]: readonly [number, number],
  stored: StoredValues,
): UnpackedMatrix {
  const block = computeBlock(quant, inner)
  const blocks = inner / block
  const groups = groupsOf(quant, inner)
  const scales = new Float32Array(out * blocks)
  const byColumn = quant.method === 'gptq' || quant.method === 'awq'
  const values = stored.floats(byColumn ? 'scales' : 'weight_scale')
  const groupOf = (i: number) => (quant.groupSize === 0 ? 0 : i)
  for (let o = 0; o < out; o++)
    for (let i = 0; i < blocks; i++)
      scales[o * blocks + i] = byColumn ? values[groupOf(i) * out + o]! : values[o * groups + groupOf(i)]!
  return {
    codes: codesOf(quant, out, inner, stored),
    scales,
    zeros: quant.zeroPoints ? zerosOf(quant, out, blocks, stored) : undefined,
  }
}

function codesOf({ method }: PackedQuant, out: number, inner: number, stored: StoredValues): Uint8Array {
  if (method === 'int8') return stored.bytes('weight').map((byte) => byte ^ 0x80)
  const codes = new Uint8Array((out * inner) / 2)
  if (method === 'packed') {
    // A word holds eight weights of a row, the first in the lowest bits: in little-endian order that is the target's
    // order already.
    codes.set(stored.bytes('weight_packed').subarray(0, codes.length))
    return codes
  }
  const bytes = stored.bytes('qweight')
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4)
  if (method === 'gptq') {
    for (let i = 0; i < inner / 8; i++) {
      for (let o = 0; o < out; o++) {
        const word = words[i * out + o]!
        const to = (o * inner + i * 8) / 2
        for (let byte = 0; byte < 4; byte++) codes[to + byte] = word >>> (8 * byte)
      }
    }
    return codes
  }
  for (let i = 0; i < inner; i++) {
    for (let column = 0; column < out / 8; column++) {
      const word = words[(i * out) / 8 + column]!
      for (let place = 0; place < 8; place++) {
        const to = ((column * 8 + AWQ_ORDER[place]!) * inner + i) >> 1
        codes[to] = codes[to]! | (((word >>> (4 * place)) & 15) << ((i % 2) * 4))
      }
    }
  }
  return codes
}

function zerosOf(quant: PackedQuant, out: number, blocks: number, stored: StoredValues): Uint8Array {
  const { method, groupSize, zeroOffset } = quant
  const bytes = stored.bytes(method === 'packed' ? 'weight_zero_point' : 'qzeros')
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4)
  const groups = groupSize === 0 ? 1 : blocks
  const rowBytes = Math.ceil(blocks / 2)
  const zeros = new Uint8Array(out * rowBytes)
  for (let o = 0; o < out; o++) {
    for (let i = 0; i < blocks; i++) {
      const group = groupSize === 0 ? 0 : i
      const place = method === 'awq' ? AWQ_ORDER.indexOf(o % 8) : o % 8
      const word =
        method === 'packed' ? words[Math.floor(o / 8) * groups + group]! : words[(group * out) / 8 + Math.floor(o / 8)]!
      const zero = ((word >>> (4 * place)) & 15) + zeroOffset
      if (zero > 15)
        throw new CheckpointError(
          'CHECKPOINT_FORMAT',
          `a zero point of ${zero} is beyond 4 bits: name the checkpoint that this one was quantized from`,
        )
      const to = o * rowBytes + (i >> 1)
      zeros[to] = zeros[to]! | (zero << ((i % 2) * 4))
    }
  }
  return zeros
}

/** A float8 (e4m3) matrix times its scales, exact in float32: [out, in]. */
export function widenFloat8(quant: Float8Quant, [out, inner]: readonly [number, number], stored: StoredValues): Tensor {
  const values = new Float32Array(out * inner)
  widenFloat8Rows(quant, inner, 0, { codes: stored.bytes('weight'), scales: stored.floats(quant.scale) }, values)
  return { dtype: 'float32', shape: [out, inner], data: new Uint8Array(values.buffer) }
}

/** The same for rows of the matrix from row `first` on, whose codes are given with the scales of the whole matrix. */
export function widenFloat8Rows(
  { blockRows, blockColumns }: Float8Quant,
  inner: number,
  first: number,
  { codes, scales }: { readonly codes: Uint8Array; readonly scales: Float32Array },
  values: Float32Array,
): void {
  const columns = blockColumns === 0 ? 1 : Math.ceil(inner / blockColumns)
  const width = blockColumns || inner
  for (let row = 0; row < values.length / inner; row++) {
    let scale = blockRows === 0 ? 0 : Math.floor((first + row) / blockRows) * columns
    const end = (row + 1) * inner
    for (let start = row * inner; start < end; start += width, scale++) {
      const factor = scales[scale]!
      const stop = Math.min(end, start + width)
      for (let i = start; i < stop; i++) values[i] = FLOAT8[codes[i]!]! * factor
    }
  }
}

/**
 * The value of each byte as float8 e4m3: sign, four bits of exponent with bias 7, three of fraction, no infinities; all
 * ones is NaN (Micikevicius et al., "FP8 Formats for Deep Learning").
 */
const FLOAT8 = Float32Array.from({ length: 256 }, (_, bits) => {
  const exponent = (bits >> 3) & 15
  const fraction = bits & 7
  if (exponent === 15 && fraction === 7) return Number.NaN
  return (bits < 128 ? 1 : -1) * (exponent === 0 ? (fraction / 8) * 2 ** -6 : (1 + fraction / 8) * 2 ** (exponent - 7))
})
