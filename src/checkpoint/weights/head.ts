import { convert } from '../../tensor/convert.ts'
import { asFloat32 } from '../../tensor/tensor.ts'
import { isFloatDType } from '../config/config.ts'
import { findTensor } from './names.ts'
import type { TensorSlice } from './safetensors.ts'

/** Names of the two tensors that a config may tie together, with or without a leading `model.` or the like. */
export interface TiedNames {
  readonly embedding: string
  readonly head: string
}

/** Reads rows `start` to `end` of a tensor's first axis as stored. */
export type ReadRows = (slice: TensorSlice, start: number, end: number) => Promise<Uint8Array>

/** What a file holds of a model whose config ties its head to its embedding. */
export interface FoundHead {
  readonly tied: boolean
  /** The model's tensors; a matrix that is stored as the head alone has the embedding's name here. */
  readonly tensors: ReadonlyMap<string, TensorSlice>
}

/** The first rows that are compared: a head of its own differs in them, and the model's key needs them anyway. */
const FIRST_ROWS = 64

/** The most that is read of a matrix at a time. */
const PIECE_BYTES = 64 << 20

/**
 * Whether the head is the embedding, where config.json says so: as in transformers 5, a head of other values in the
 * file is kept, and a matrix that is stored as the head alone is both. Reads both matrices to the first difference.
 */
export async function findHead(
  tensors: ReadonlyMap<string, TensorSlice>,
  names: TiedNames,
  read: ReadRows,
): Promise<FoundHead> {
  const head = findTensor(tensors, names.head)
  const embedding = findTensor(tensors, names.embedding)
  if (head === undefined) return { tied: true, tensors }
  if (embedding !== undefined) return { tied: await equalValues(head, embedding, read), tensors }
  const renamed = [...tensors].map(([name, slice]): [string, TensorSlice] =>
    slice === head ? [names.embedding, { ...head, name: names.embedding }] : [name, slice],
  )
  return { tied: true, tensors: new Map(renamed) }
}

async function equalValues(a: TensorSlice, b: TensorSlice, read: ReadRows): Promise<boolean> {
  if (a.shape.join() !== b.shape.join()) return false
  if (a.byteLength === 0) return true
  const [rows = 0] = a.shape
  const rowBytes = Math.max(a.byteLength, b.byteLength) / Math.max(rows, 1)
  const most = Math.max(1, Math.floor(PIECE_BYTES / Math.max(rowBytes, 1)))
  for (let start = 0, count = FIRST_ROWS; start < rows; start += count, count = Math.min(2 * count, most)) {
    const end = Math.min(rows, start + count)
    const pieces = await Promise.all([read(a, start, end), read(b, start, end)])
    if (!equalPieces([a, b], pieces)) return false
  }
  return true
}

function equalPieces([a, b]: [TensorSlice, TensorSlice], [of, other]: [Uint8Array, Uint8Array]): boolean {
  if (a.dtype === b.dtype && Buffer.compare(of, other) === 0) return true
  const values = [floatsOf(a, of), floatsOf(b, other)]
  const [x, y] = values
  return x !== undefined && y !== undefined && x.every((value, i) => value === y[i])
}

/** Undefined for other than float types. */
function floatsOf({ dtype }: TensorSlice, data: Uint8Array): Float32Array | undefined {
  if (!isFloatDType(dtype)) return undefined
  const tensor = { dtype, shape: [data.byteLength / (dtype === 'float32' ? 4 : 2)], data }
  return asFloat32(convert(tensor, 'float32'))
}
