import { createHash, randomBytes } from 'node:crypto'
import { closeSync, mkdirSync, openSync, readSync, renameSync, rmSync, statSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { PetalsError, errorMessage } from '../../base/errors.ts'
import {
  HEADER_LENGTH_BYTES,
  headerByteLength,
  parseSafetensorsHeader,
  type TensorSlice,
} from '../../checkpoint/weights/safetensors.ts'
import type { Tensor } from '../../tensor/tensor.ts'

/** Grows when a format comes to mean other codes. */
const VERSION = 1

const NAMES = { uint8: 'U8', float32: 'F32' } as const

/**
 * One block's quantized matrices on disk, as one safetensors file; named by where the originals lie and when they were
 * last changed.
 */
export class QuantCacheFile {
  readonly #file: string
  readonly #found: ReadonlyMap<string, TensorSlice>
  readonly #made = new Map<string, Tensor>()

  /** `slices` are the block's stored tensors. Throws `QUANT_CACHE` where the folder cannot be made. */
  constructor(folder: string, format: string, slices: ReadonlyMap<string, TensorSlice>) {
    try {
      mkdirSync(folder, { recursive: true })
    } catch (error) {
      throw new PetalsError('QUANT_CACHE', `--quant-cache ${folder}: ${errorMessage(error)}`, { cause: error })
    }
    this.#file = join(folder, `${nameOf(format, slices)}.safetensors`)
    this.#found = readHeader(this.#file)
  }

  /** Where a tensor lies that was kept before. */
  find(name: string): TensorSlice | undefined {
    return this.#found.get(name)
  }

  /** To be kept, as a copy until `save`: the loader's memory is for the next tensor. */
  keep(name: string, { dtype, shape, data }: Tensor): void {
    this.#made.set(name, { dtype, shape, data: data.slice() })
  }

  /** Writes what was made. Throws `QUANT_CACHE` where it cannot be written; nothing is left behind then. */
  save(): void {
    if (this.#made.size === 0) return
    const unfinished = `${this.#file}.${randomBytes(6).toString('hex')}.part`
    try {
      writeTensors(unfinished, this.#made)
      renameSync(unfinished, this.#file)
    } catch (error) {
      rmSync(unfinished, { force: true })
      throw new PetalsError('QUANT_CACHE', `${this.#file} cannot be written: ${errorMessage(error)}`, { cause: error })
    }
    this.#made.clear()
  }
}

function nameOf(format: string, slices: ReadonlyMap<string, TensorSlice>): string {
  const hash = createHash('sha256').update(`${VERSION} ${format}`)
  for (const [name, { file, offset, byteLength, dtype, shape }] of [...slices].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const { mtimeMs, size } = statSync(file)
    hash.update(JSON.stringify([name, file, mtimeMs, size, offset, byteLength, dtype, shape]))
  }
  return hash.digest('hex').slice(0, 32)
}

/** Nothing where there is no such file, or a damaged one, which is written anew then. */
function readHeader(file: string): ReadonlyMap<string, TensorSlice> {
  let fd: number
  try {
    fd = openSync(file, 'r')
  } catch {
    return new Map()
  }
  try {
    const { size } = statSync(file)
    const start = Buffer.alloc(HEADER_LENGTH_BYTES)
    readSync(fd, start, 0, start.byteLength, 0)
    const header = Buffer.alloc(headerByteLength(start, file, size))
    readSync(fd, header, 0, header.byteLength, HEADER_LENGTH_BYTES)
    return new Map(parseSafetensorsHeader(header, file, size).map((slice) => [slice.name, slice]))
  } catch {
    return new Map()
  } finally {
    closeSync(fd)
  }
}

function writeTensors(file: string, tensors: ReadonlyMap<string, Tensor>): void {
  let end = 0
  const header = Buffer.from(
    JSON.stringify(
      Object.fromEntries(
        [...tensors].map(([name, { dtype, shape, data }]) => [
          name,
          { dtype: NAMES[dtype as keyof typeof NAMES], shape, data_offsets: [end, (end += data.byteLength)] },
        ]),
      ),
    ),
  )
  const length = Buffer.alloc(HEADER_LENGTH_BYTES)
  length.writeBigUInt64LE(BigInt(header.byteLength))
  const fd = openSync(file, 'w')
  try {
    for (const bytes of [length, header, ...[...tensors.values()].map(({ data }) => data)]) {
      for (let written = 0; written < bytes.byteLength;) written += writeSync(fd, bytes, written)
    }
  } finally {
    closeSync(fd)
  }
}
