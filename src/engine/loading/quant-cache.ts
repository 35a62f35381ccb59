import { closeSync, openSync, readSync, statSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { PetalsError } from '../../base/errors.ts'
import {
  HEADER_LENGTH_BYTES,
  headerByteLength,
  parseSafetensorsHeader,
  type TensorSlice,
} from '../../checkpoint/weights/safetensors.ts'
import type { Tensor } from '../../tensor/tensor.ts'
import { identityOf, makeFolder, replaceFile } from './cache-folder.ts'

/** Grows when a format comes to mean other codes. */
const VERSION = 3

const NAMES = { uint8: 'U8', float32: 'F32' } as const

/** One block's quantized matrices on disk: one safetensors file, which counts while the originals stay as they are. */
export class QuantCacheFile {
  readonly #file: string
  readonly #found: ReadonlyMap<string, TensorSlice>
  readonly #made = new Map<string, Tensor>()

  readonly #onUnwritten: (error: PetalsError) => void

  /**
   * `slices` are the block's stored tensors; `onUnwritten` is told why the file could not be written, `QUANT_CACHE`.
   * Throws `QUANT_CACHE` where the folder cannot be made.
   */
  constructor(
    folder: string,
    format: string,
    slices: ReadonlyMap<string, TensorSlice>,
    onUnwritten: (error: PetalsError) => void,
  ) {
    this.#onUnwritten = onUnwritten
    this.#file = fileOf(makeFolder(folder), format, slices)
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

  /** Writes what was made. Where it cannot be written, on a full disk, nothing is left behind, and nothing is lost. */
  save(): void {
    if (this.#made.size === 0) return
    try {
      replaceFile(this.#file, (unfinished) => writeTensors(unfinished, this.#made))
    } catch (error) {
      if (!(error instanceof PetalsError)) throw error
      this.#onUnwritten(error)
    }
    this.#made.clear()
  }
}

/** What is kept of a block's matrices: codes and scales by `<name>.codes` and `<name>.scales`. Nothing is made here. */
export function keptCodes(
  folder: string,
  format: string,
  slices: ReadonlyMap<string, TensorSlice>,
): ReadonlyMap<string, TensorSlice> {
  return readHeader(fileOf(folder, format, slices))
}

function fileOf(folder: string, format: string, slices: ReadonlyMap<string, TensorSlice>): string {
  return join(folder, `${identityOf(`${VERSION} ${format}`, slices)}.safetensors`)
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
