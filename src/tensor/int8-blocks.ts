import { CONVERSION_ELEMENTS, REGION_BYTES, kernels } from './kernel-memory.ts'

/*
 * Float32 rows in blocks of 32 neighbours of a row: a scale, a bfloat16, and a signed byte for each value, which stands
 * for code * scale. The scale is the largest magnitude / 127, a code value / scale, both to nearest even; a block of
 * magnitudes below 1.5e-36 is zeros. A row's last block may be shorter. Code and scale have 15 significant bits
 * together, so that what a block stands for is exact in float32, and the largest code is always 127: the scale is off
 * by at most one part in 256. So rows that were unpacked are packed to the same bytes again.
 */
const BLOCK = 32
const SCALE_BYTES = 2
const FLOAT_BYTES = 4
const BLOCK_BYTES = SCALE_BYTES + BLOCK

/** Bytes of a packed row of so many values. */
export function packedRowBytes(width: number): number {
  return width + SCALE_BYTES * Math.ceil(width / BLOCK)
}

/**
 * Packs float32 rows of `width` values into `target`, `packedRowBytes(width)` bytes a row. A block with a value that is
 * not finite gets the scale NaN.
 */
export function packRows(values: Uint8Array, width: number, target: Uint8Array): void {
  const { bytes, packInt8 } = kernels()
  eachRun(values.byteLength / FLOAT_BYTES, width, ({ first, count, at, blocks, size }) => {
    bytes.set(values.subarray(first * FLOAT_BYTES, (first + count) * FLOAT_BYTES))
    bytes.fill(0, count * FLOAT_BYTES, blocks * BLOCK * FLOAT_BYTES)
    packInt8(0, REGION_BYTES, blocks * BLOCK * FLOAT_BYTES)
    target.set(bytes.subarray(REGION_BYTES, REGION_BYTES + size), at)
    return true
  })
}

/** Unpacks what `packRows` has packed into float32 `target`, whose size says how many rows there are. */
export function unpackRows(packed: Uint8Array, width: number, target: Uint8Array): void {
  const { bytes, unpackInt8 } = kernels()
  eachRun(target.byteLength / FLOAT_BYTES, width, ({ first, count, at, blocks, size }) => {
    bytes.set(packed.subarray(at, at + size))
    unpackInt8(0, REGION_BYTES, blocks * BLOCK_BYTES)
    target.set(bytes.subarray(REGION_BYTES, REGION_BYTES + count * FLOAT_BYTES), first * FLOAT_BYTES)
    return true
  })
}

/**
 * Whether `packRows` could have made these rows of finite values. Scales that are NaN, infinite, negative or too large,
 * and blocks without a code of 127, are none of its.
 */
export function areSoundRows(packed: Uint8Array, width: number): boolean {
  const { bytes, soundInt8 } = kernels()
  return eachRun((packed.byteLength / packedRowBytes(width)) * width, width, ({ at, blocks, size }) => {
    bytes.set(packed.subarray(at, at + size))
    bytes.fill(0, size, blocks * BLOCK_BYTES)
    return soundInt8(0, blocks * BLOCK_BYTES) === 1
  })
}

/** Values that a kernel takes at once, in `blocks` blocks: `count` from the one at `first` on. */
interface Run {
  readonly first: number
  readonly count: number
  readonly blocks: number
  /** Where they lie among the packed bytes, and how many these are. */
  readonly at: number
  readonly size: number
}

/** Calls `work` with one part of the rows after another, until one says false. Rows of whole blocks are as one row. */
function eachRun(total: number, width: number, work: (run: Run) => boolean): boolean {
  const rowWidth = width % BLOCK === 0 ? total : width
  for (let row = 0, at = 0; row < total; row += rowWidth) {
    for (let first = row; first < row + rowWidth; first += CONVERSION_ELEMENTS) {
      const count = Math.min(CONVERSION_ELEMENTS, row + rowWidth - first)
      const blocks = Math.ceil(count / BLOCK)
      const size = count + SCALE_BYTES * blocks
      if (!work({ first, count, blocks, at, size })) return false
      at += size
    }
  }
  return true
}
