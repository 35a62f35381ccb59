import { closeSync, openSync, readSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { conversion } from '../../tensor/conversion.ts'
import { CONVERSION_ELEMENTS } from '../../tensor/kernel-memory.ts'
import { dtypeSize, type FloatDType } from '../../tensor/dtype.ts'
import { byteLength, type Tensor } from '../../tensor/tensor.ts'
import { isFloatDType } from '../config/config.ts'
import { CheckpointError } from '../files/errors.ts'
import type { TensorSlice } from './safetensors.ts'

/** Bytes of one read: larger reads are slower, smaller ones need more calls. */
const CHUNK_BYTES = 8 * 1024 * 1024

/** Returns memory of the given length for a tensor's bytes; what it contains does not matter. */
export type Allocate = (byteLength: number) => Uint8Array

/**
 * Reads a whole tensor and converts it to `target`, into memory from `allocate`; by default an ArrayBuffer of its own,
 * which can be transferred to another thread. Synchronous: for worker threads. Throws `CHECKPOINT_DTYPE` if the tensor
 * is of no float type, `CHECKPOINT_TRUNCATED` or `CHECKPOINT_MISSING_FILE`.
 */
export function readTensor(slice: TensorSlice, target: FloatDType, allocate: Allocate = freshBytes): Tensor {
  const { dtype, shape } = slice
  if (!isFloatDType(dtype)) {
    throw new CheckpointError('CHECKPOINT_DTYPE', `tensor ${slice.name} in ${slice.file} is ${dtype}, not a float type`)
  }
  const data = allocate(byteLength(target, shape))
  withFile(slice.file, (fd) => {
    if (dtype === target) readInto(fd, slice, 0, data)
    else readConverted(fd, slice, dtype, target, data)
  })
  return { dtype: target, shape, data }
}

/** Reads into the conversion's own memory, piece by piece, and copies each converted piece to its place. */
function readConverted(fd: number, slice: TensorSlice, from: FloatDType, to: FloatDType, target: Uint8Array): void {
  const { input, run } = conversion(from, to)
  const count = slice.byteLength / dtypeSize(from)
  for (let done = 0; done < count; done += CONVERSION_ELEMENTS) {
    const turn = Math.min(CONVERSION_ELEMENTS, count - done)
    readInto(fd, slice, done * dtypeSize(from), input.subarray(0, turn * dtypeSize(from)))
    target.set(run(turn), done * dtypeSize(to))
  }
}

/**
 * Passes a tensor's bytes as stored to `use`, in order and at most 8 MB at a time. `position` is the chunk's offset
 * within the tensor. The chunk's memory is used again for the next one. Synchronous. Throws as `readTensor`.
 */
export function readChunks(
  slice: TensorSlice,
  use: (chunk: Uint8Array, position: number) => void,
  buffer: Uint8Array = chunkBuffer(slice.byteLength),
): void {
  withFile(slice.file, (fd) => {
    for (let position = 0; position < slice.byteLength; position += buffer.byteLength) {
      const chunk = buffer.subarray(0, slice.byteLength - position)
      readInto(fd, slice, position, chunk)
      use(chunk, position)
    }
  })
}

/** For `readChunks` of tensors of at most so many bytes: one serves many, where a fresh one each would pile up. */
export function chunkBuffer(maxBytes: number): Uint8Array<ArrayBuffer> {
  return freshBytes(Math.max(1, Math.min(CHUNK_BYTES, maxBytes)))
}

/** All bytes of a tensor as stored. Synchronous. Throws as `readTensor`. */
export function readBytes(slice: TensorSlice): Uint8Array<ArrayBuffer> {
  const bytes = freshBytes(slice.byteLength)
  readBytesInto(slice, bytes)
  return bytes
}

/**
 * Fills `target`, which must have the tensor's size, with the tensor's bytes as stored. Synchronous. Throws as
 * `readTensor`.
 */
export function readBytesInto(slice: TensorSlice, target: Uint8Array): void {
  withFile(slice.file, (fd) => readInto(fd, slice, 0, target))
}

/**
 * Reads rows `start` to `end` of a tensor's first axis as stored. Throws `CHECKPOINT_SHAPE` if the tensor has no such
 * rows, `CHECKPOINT_TRUNCATED` or `CHECKPOINT_MISSING_FILE`.
 */
export async function readRows(slice: TensorSlice, start: number, end: number): Promise<Uint8Array> {
  const range = rowRange(slice, start, end)
  const target = freshBytes(range.end - range.start)
  const handle = await open(slice.file, 'r').catch((error: unknown) => {
    throw unreadable(slice.file, error)
  })
  try {
    for (let filled = 0; filled < target.byteLength;) {
      const length = Math.min(CHUNK_BYTES, target.byteLength - filled)
      const { bytesRead } = await handle.read(target, filled, length, range.start + filled)
      if (bytesRead === 0) throw truncated(slice, target.byteLength - filled)
      filled += bytesRead
    }
  } finally {
    await handle.close()
  }
  return target
}

/**
 * The byte range, in a slice's file, of rows `start` to `end`. Throws `CHECKPOINT_SHAPE` if the tensor has no such
 * rows.
 */
export function rowRange(
  slice: TensorSlice,
  start: number,
  end: number,
): { readonly start: number; readonly end: number } {
  const [rows = 0] = slice.shape
  if (!Number.isInteger(start) || !Number.isInteger(end) || start < 0 || end < start || end > rows) {
    throw new CheckpointError('CHECKPOINT_SHAPE', `tensor ${slice.name} [${slice.shape}] has no rows ${start}:${end}`)
  }
  const rowBytes = rows === 0 ? 0 : slice.byteLength / rows
  return { start: slice.offset + start * rowBytes, end: slice.offset + end * rowBytes }
}

/** Fills `target` with the tensor's bytes from `position` on. */
function readInto(fd: number, slice: TensorSlice, position: number, target: Uint8Array): void {
  for (let filled = 0; filled < target.byteLength;) {
    const length = Math.min(CHUNK_BYTES, target.byteLength - filled)
    const bytesRead = readSync(fd, target, filled, length, slice.offset + position + filled)
    if (bytesRead === 0) throw truncated(slice, target.byteLength - filled)
    filled += bytesRead
  }
}

function withFile(file: string, use: (fd: number) => void): void {
  let fd: number
  try {
    fd = openSync(file, 'r')
  } catch (error) {
    throw unreadable(file, error)
  }
  try {
    use(fd)
  } finally {
    closeSync(fd)
  }
}

/** An ArrayBuffer of its own, uninitialised: every byte of it is then read into. */
function freshBytes(length: number): Uint8Array<ArrayBuffer> {
  const buffer = Buffer.allocUnsafeSlow(length)
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength)
}

function truncated(slice: TensorSlice, missingBytes: number): CheckpointError {
  return new CheckpointError(
    'CHECKPOINT_TRUNCATED',
    `${slice.file} has become shorter: ${missingBytes} bytes of tensor ${slice.name} are missing`,
  )
}

function unreadable(file: string, cause: unknown): CheckpointError {
  return new CheckpointError('CHECKPOINT_MISSING_FILE', `${file} cannot be opened`, cause)
}
