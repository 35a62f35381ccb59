import { existsSync } from 'node:fs'
import { readBytes, readBytesInto } from '../../../checkpoint/weights/read.ts'
import type { TensorSlice } from '../../../checkpoint/weights/safetensors.ts'
import type { QuantizedSource } from '../../../graph/parameter.ts'
import { dequantizeRows } from '../../../tensor/dequantize.ts'
import { quantizedSizes } from '../../../tensor/quantize.ts'
import { numElements } from '../../../tensor/tensor.ts'
import type { Slices } from './stored-rows.ts'

/** Bytes that are read at once: a fraction of a millisecond. */
const READ_BYTES = 1 << 20

/** Codes and scales of a matrix that was quantized before, on disk. */
interface CachedMatrix {
  readonly codes: TensorSlice
  readonly scales: TensorSlice
}

/** Where the codes of a matrix lie, if among `slices` are those of a quantization cache that is still there. */
export function cachedMatrix({ format, matrix }: QuantizedSource, slices: Slices): CachedMatrix | undefined {
  const { name, shape } = matrix
  const [codes, scales] = [slices.get(`${name}.codes`), slices.get(`${name}.scales`)]
  if (codes === undefined || scales === undefined || shape.length !== 2) return undefined
  const { blocks, codeBytes } = quantizedSizes(format, shape[0]!, shape[1]!)
  const fits = codes.byteLength === codeBytes && scales.byteLength === blocks * Float32Array.BYTES_PER_ELEMENT
  return fits && existsSync(codes.file) ? { codes, scales } : undefined
}

/**
 * Reads the values that a matrix's codes stand for, [rows, columns], `rowsAtOnce` rows at a time (whole blocks):
 * between any two pieces it yields. Throws as `readBytes`.
 */
export function* readCached(
  { format, matrix }: QuantizedSource,
  { codes, scales }: CachedMatrix,
  values: Float32Array,
  rowsAtOnce: number,
): Generator<void> {
  const columns = matrix.shape.at(-1)!
  const rows = numElements(matrix.shape) / columns
  const factors = new Float32Array(readBytes(scales).buffer)
  // Those of a row lie apart in this format.
  const all = format === 'int8-rows' ? yield* readAll(codes) : undefined
  for (let first = 0; first < rows; first += rowsAtOnce) {
    const count = Math.min(rowsAtOnce, rows - first)
    const into = values.subarray(first * columns, (first + count) * columns)
    if (all === undefined) {
      const [before, own] = [first, count].map((each) => quantizedSizes(format, each, columns)) as [Sizes, Sizes]
      const part = { ...codes, offset: codes.offset + before.codeBytes, byteLength: own.codeBytes }
      const ownScales = factors.subarray(before.blocks, before.blocks + own.blocks)
      dequantizeRows(format, { codes: readBytes(part), scales: ownScales }, columns, into)
    } else {
      dequantizeRows(format, { codes: all, scales: factors }, columns, into, { first, rows })
    }
    yield
  }
}

type Sizes = ReturnType<typeof quantizedSizes>

function* readAll(slice: TensorSlice): Generator<void, Uint8Array> {
  const bytes = new Uint8Array(slice.byteLength)
  for (let at = 0; at < bytes.byteLength; at += READ_BYTES) {
    const part = bytes.subarray(at, at + READ_BYTES)
    readBytesInto({ ...slice, offset: slice.offset + at, byteLength: part.byteLength }, part)
    yield
  }
  return bytes
}
