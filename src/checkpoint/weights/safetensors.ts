import { type FileHandle, open, stat } from 'node:fs/promises'
import { errorMessage } from '../../base/errors.ts'
import { type DType, dtypeSize } from '../../tensor/dtype.ts'
import { findDuplicateKey } from '../files/duplicate-keys.ts'
import { CheckpointError } from '../files/errors.ts'
import { isJsonObject } from '../files/json.ts'

/** A type of elements that is not read here, by its name in the header. */
export type ForeignDType = `unread type ${string}`

/** Where a tensor's bytes lie in a file: row-major, little-endian, without padding. Plain data. */
export interface TensorSlice {
  readonly name: string
  readonly file: string
  /** Bytes from the start of the file. */
  readonly offset: number
  readonly byteLength: number
  /** What no model needs may be of a type that is not read here. */
  readonly dtype: DType | ForeignDType
  readonly shape: readonly number[]
}

/** The longest header that the format allows; headers take about 100 bytes per tensor. */
const MAX_HEADER_BYTES = 100e6

/** A file begins with the length of its header, a number of this many bytes. */
export const HEADER_LENGTH_BYTES = 8

const DTYPES: ReadonlyMap<unknown, DType> = new Map<unknown, DType>([
  ['F32', 'float32'],
  ['F16', 'float16'],
  ['BF16', 'bfloat16'],
  ['I64', 'int64'],
  ['I32', 'int32'],
  ['I8', 'int8'],
  ['U8', 'uint8'],
  ['BOOL', 'bool'],
  // Kept as raw bytes; `unpack.ts` interprets them.
  ['F8_E4M3', 'uint8'],
])

/**
 * Reads and checks the header of a safetensors file; reads none of the tensors' bytes. The slices are sorted by offset,
 * do not overlap and lie within the file. Throws `CHECKPOINT_MISSING_FILE`, `CHECKPOINT_TRUNCATED` or
 * `CHECKPOINT_HEADER`, naming the file and what is wrong in it.
 */
export async function readSafetensorsHeader(file: string): Promise<TensorSlice[]> {
  // Checks that it is a regular file: opening a pipe would wait for its writer for ever.
  const stats = await stat(file).catch(() => undefined)
  if (!stats?.isFile()) throw new CheckpointError('CHECKPOINT_MISSING_FILE', `${file} is missing or not a file`)
  const handle = await open(file, 'r')
  try {
    const { size } = await handle.stat()
    const headerBytes = headerByteLength(
      await readExactly(handle, file, 0, Math.min(HEADER_LENGTH_BYTES, size)),
      file,
      size,
    )
    return parseSafetensorsHeader(await readExactly(handle, file, HEADER_LENGTH_BYTES, headerBytes), file, size)
  } finally {
    await handle.close()
  }
}

/**
 * The length of the header, read from a file's first bytes. The header itself begins at byte `HEADER_LENGTH_BYTES`.
 * `fileBytes` is the size of the whole file. Throws `CHECKPOINT_HEADER` or `CHECKPOINT_TRUNCATED`.
 */
export function headerByteLength(start: Uint8Array, file: string, fileBytes: number): number {
  const there = Math.min(start.byteLength, fileBytes)
  if (there < HEADER_LENGTH_BYTES) throw truncated(file, HEADER_LENGTH_BYTES - there, 'in the length of the header')
  const length = Buffer.from(start.buffer, start.byteOffset, HEADER_LENGTH_BYTES).readBigUInt64LE()
  if (length > MAX_HEADER_BYTES) {
    throw new CheckpointError(
      'CHECKPOINT_HEADER',
      `${file}: a header of ${length} bytes is not allowed (at most ${MAX_HEADER_BYTES}): is this a safetensors file?`,
    )
  }
  const missing = HEADER_LENGTH_BYTES + Number(length) - fileBytes
  if (missing > 0) throw truncated(file, missing, 'in the header')
  return Number(length)
}

/**
 * The slices that a header describes; the file itself need not be on this machine. Checks and throws as
 * `readSafetensorsHeader`.
 */
export function parseSafetensorsHeader(header: Uint8Array, file: string, fileBytes: number): TensorSlice[] {
  return checkSlices(parseHeader(header, file), file, HEADER_LENGTH_BYTES + header.byteLength, fileBytes)
}

async function readExactly(handle: FileHandle, file: string, position: number, length: number): Promise<Buffer> {
  const buffer = Buffer.alloc(length)
  for (let filled = 0; filled < length;) {
    const { bytesRead } = await handle.read(buffer, filled, length - filled, position + filled)
    if (bytesRead === 0) throw truncated(file, length - filled, 'in the header')
    filled += bytesRead
  }
  return buffer
}

function parseHeader(bytes: Uint8Array, file: string): [string, unknown][] {
  let header: unknown
  let duplicate: string | undefined
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
    header = JSON.parse(text)
    duplicate = findDuplicateKey(text)
  } catch (error) {
    throw headerError(file, `the header is not valid JSON (${errorMessage(error)})`, error)
  }
  if (!isJsonObject(header)) throw headerError(file, 'the header must be a JSON object')
  if (duplicate !== undefined) throw headerError(file, `the header names ${JSON.stringify(duplicate)} twice`)
  return Object.entries(header).filter(([name]) => name !== '__metadata__')
}

function checkSlices(header: [string, unknown][], file: string, dataStart: number, fileBytes: number): TensorSlice[] {
  const slices = header.map(([name, entry]) => parseEntry(name, entry, file, dataStart))
  slices.sort((a, b) => a.offset - b.offset || a.byteLength - b.byteLength)
  let end = dataStart
  let last = ''
  for (const slice of slices) {
    if (slice.offset < end) throw headerError(file, `tensors ${last} and ${slice.name} overlap`)
    end = slice.offset + slice.byteLength
    last = slice.name
  }
  if (end > fileBytes) throw truncated(file, end - fileBytes, `up to the end of tensor ${last}`)
  return slices
}

function parseEntry(name: string, entry: unknown, file: string, dataStart: number): TensorSlice {
  const bad = (problem: string) => headerError(file, `tensor ${name} ${problem}`)
  if (!isJsonObject(entry)) throw bad('must be described by an object')
  const stored = entry['dtype']
  if (typeof stored !== 'string') throw bad(`has dtype ${shown(stored)}; it must be a text`)
  const dtype = DTYPES.get(stored)
  const { shape, data_offsets: offsets } = entry
  if (!isSizes(shape)) throw bad(`has shape ${shown(shape)}; it must be a list of integers from 0`)
  if (!isSizes(offsets) || offsets.length !== 2) {
    throw bad(`has data_offsets ${shown(offsets)}; they must be two integers from 0`)
  }
  const [begin = 0, end = 0] = offsets
  if (dtype === undefined) return foreignSlice({ name, file, shape }, stored, dataStart + begin, end - begin)
  const wanted = shape.reduce((product, dim) => product * dim, dtypeSize(dtype))
  if (!Number.isSafeInteger(wanted) || end - begin !== wanted) {
    throw bad(
      `of dtype ${dtype} and shape [${shown(shape)}] takes ${wanted} bytes, but data_offsets span ${end - begin}`,
    )
  }
  return { name, file, offset: dataStart + begin, byteLength: wanted, dtype, shape }
}

/** Its size in the file cannot be checked against its shape; whoever needs it refuses it. */
function foreignSlice(
  slice: Pick<TensorSlice, 'name' | 'file' | 'shape'>,
  dtype: string,
  offset: number,
  byteLength: number,
): TensorSlice {
  if (byteLength < 0)
    throw headerError(slice.file, `tensor ${slice.name} has data_offsets whose end is before their begin`)
  return { ...slice, offset, byteLength, dtype: `unread type ${dtype.slice(0, 20)}` }
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((size: unknown) => Number.isSafeInteger(size) && Number(size) >= 0)
}

function shown(value: unknown): string {
  return value === undefined ? 'missing' : JSON.stringify(value).slice(0, 80)
}

function headerError(file: string, problem: string, cause?: unknown): CheckpointError {
  return new CheckpointError('CHECKPOINT_HEADER', `${file}: ${problem}`, cause)
}

function truncated(file: string, missingBytes: number, where: string): CheckpointError {
  return new CheckpointError(
    'CHECKPOINT_TRUNCATED',
    `${file} is truncated: ${missingBytes} bytes are missing ${where}; copy or download it again`,
  )
}
