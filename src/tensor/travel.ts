import { setImmediate } from 'node:timers/promises'
import { PetalsError } from '../base/errors.ts'
import { type Activations, type PackedTensor, type WireDType, activationBytes } from './activations.ts'
import { convert, convertElements, convertInPieces } from './convert.ts'
import { type FloatDType, dtypeSize } from './dtype.ts'
import { allFiniteInPieces } from './finite.ts'
import { packRows, unpackRows } from './int8-blocks.ts'
import { type Tensor, byteLength, numElements } from './tensor.ts'

/** Elements that are converted before the event loop gets a turn: about a millisecond. */
const PIECE_ELEMENTS = 1_048_576

/**
 * Hidden states [.., width] of a float type in the form in which they travel; `values` itself where it has that dtype.
 * Rounds to nearest, ties to even; what is packed stands for values that pack to the same bytes again. In pieces, so
 * that the event loop has its turns; `values` must not change meanwhile. NaN and infinities stay what `allFinite`
 * finds.
 */
export async function encodeActivations(values: Tensor, wire: WireDType): Promise<Activations> {
  if (wire !== 'int8') return convertInPieces(values, wire)
  const { shape } = values
  const packed: PackedTensor = {
    dtype: 'int8-blocks',
    shape,
    data: new Uint8Array(activationBytes('int8-blocks', shape)),
  }
  const from = values.dtype as FloatDType
  await eachPiece(packed, dtypeSize(from), (rows, width, at) => {
    const piece = values.data.subarray(at.plain, at.plain + rows * width * dtypeSize(from))
    packRows(asFloats(from, piece), width, packed.data.subarray(at.packed))
  })
  return packed
}

/**
 * Hidden states that have travelled as a tensor of a float type, rounded where that is narrower; `source` itself where
 * it has the dtype. In pieces, as `encodeActivations`. Packed rows must be sound.
 */
export async function decodeActivations(source: Activations, dtype: FloatDType): Promise<Tensor> {
  if (source.dtype !== 'int8-blocks') return convertInPieces(source, dtype)
  const size = dtypeSize(dtype)
  const target: Tensor = { dtype, shape: source.shape, data: new Uint8Array(byteLength(dtype, source.shape)) }
  await eachPiece(source, size, (rows, width, at) => {
    const piece = target.data.subarray(at.plain, at.plain + rows * width * size)
    const floats = dtype === 'float32' ? piece : new Uint8Array(rows * width * dtypeSize('float32'))
    unpackRows(source.data.subarray(at.packed), width, floats)
    if (floats !== piece) convertElements('float32', floats, dtype, piece)
  })
  return target
}

/** As `decodeActivations`, to float32 and at once: for a few rows. */
export function widen(source: Activations): Tensor {
  if (source.dtype !== 'int8-blocks') return convert(source, 'float32')
  const { shape, data } = source
  const values: Tensor = { dtype: 'float32', shape, data: new Uint8Array(byteLength('float32', shape)) }
  unpackRows(data, shape.at(-1) ?? 1, values.data)
  return values
}

/**
 * As `encodeActivations`, of values that somebody is to compute with. Throws `TENSOR_NONFINITE` for NaN or infinite
 * ones, and `WIRE_DTYPE` where finite ones are too large for the form.
 */
export async function encodeFinite(values: Tensor, wire: WireDType, whose: string): Promise<Activations> {
  const encoded = await encodeActivations(values, wire)
  if (await allFiniteInPieces(encoded)) return encoded
  if (encoded === values || !(await allFiniteInPieces(values)))
    throw new PetalsError('TENSOR_NONFINITE', `${whose} NaN or infinite values`)
  throw new PetalsError('WIRE_DTYPE', `${whose} values that are too large for ${wire}: take --wire-dtype bfloat16`)
}

function asFloats(dtype: FloatDType, data: Uint8Array): Uint8Array {
  if (dtype === 'float32') return data
  const floats = new Uint8Array((data.byteLength / dtypeSize(dtype)) * dtypeSize('float32'))
  convertElements(dtype, data, 'float32', floats)
  return floats
}

/** Calls `work` with some rows after others, and with the offsets at which these begin. */
async function eachPiece(
  { shape, data }: PackedTensor,
  size: number,
  work: (rows: number, width: number, at: { readonly plain: number; readonly packed: number }) => void,
): Promise<void> {
  const width = shape.at(-1) ?? 1
  const rows = numElements(shape) / width
  const rowBytes = data.byteLength / rows
  const pieceRows = Math.max(1, Math.floor(PIECE_ELEMENTS / width))
  for (let row = 0; row < rows; row += pieceRows) {
    if (row > 0) await setImmediate()
    work(Math.min(pieceRows, rows - row), width, { plain: row * width * size, packed: row * rowBytes })
  }
}
