import { PetalsError } from '../base/errors.ts'
import { type DType, dtypeSize, type FloatDType } from './dtype.ts'
import { byteLength, type Tensor } from './tensor.ts'

/** Elements of the scratch through which two half types convert: 256 KB stays in the cache. */
const SCRATCH_ELEMENTS = 65_536

/**
 * A tensor in another float type: exact upwards, rounded to nearest even downwards (overflow gives infinity, NaN stays
 * NaN). The same dtype is returned as it is. Synchronous. Throws `TENSOR_DTYPE` for other pairs of types.
 */
export function convert(source: Tensor, target: DType): Tensor {
  if (source.dtype === target) return source
  if (!isFloat(source.dtype) || !isFloat(target)) {
    throw new PetalsError('TENSOR_DTYPE', `cannot convert ${source.dtype} to ${target}: only float types convert`)
  }
  const data = new Uint8Array(byteLength(target, source.shape))
  convertElements(source.dtype, source.data, target, data)
  return { dtype: target, shape: source.shape, data }
}

/** Converts all elements of `source` into `target`, which has room for exactly as many of its own type. */
export function convertElements(from: FloatDType, source: Uint8Array, to: FloatDType, target: Uint8Array): void {
  const count = source.byteLength / dtypeSize(from)
  if (!Number.isInteger(count) || target.byteLength !== count * dtypeSize(to)) {
    throw new PetalsError('TENSOR_SHAPE',
      `${source.byteLength} bytes of ${from} do not convert into ${target.byteLength} bytes of ${to}`)
  }
  if (from === to) {
    target.set(source)
    return
  }
  if (to === 'float32') widen(from, source, target)
  else if (from === 'float32') narrow(source, to, target)
  else convertHalves(from, source, to, target)
}

function isFloat(dtype: DType): dtype is FloatDType {
  return dtype === 'float32' || dtype === 'float16' || dtype === 'bfloat16'
}

function convertHalves(from: FloatDType, source: Uint8Array, to: FloatDType, target: Uint8Array): void {
  const scratch = new Uint8Array(SCRATCH_ELEMENTS * 4)
  for (let start = 0; start < source.byteLength; start += SCRATCH_ELEMENTS * 2) {
    const end = Math.min(start + SCRATCH_ELEMENTS * 2, source.byteLength)
    const wide = scratch.subarray(0, (end - start) * 2)
    widen(from, source.subarray(start, end), wide)
    narrow(wide, to, target.subarray(start, end))
  }
}

function widen(from: FloatDType, source: Uint8Array, target: Uint8Array): void {
  const input = words16(source)
  const output = isAligned(target, 4) ? new Uint32Array(target.buffer, target.byteOffset, input.length) : new Uint32Array(input.length)
  if (from === 'bfloat16') {
    for (let i = 0; i < input.length; i++) output[i] = (input[i] ?? 0) << 16
  } else {
    const table = halfToFloatTable()
    for (let i = 0; i < input.length; i++) output[i] = table[input[i] ?? 0] ?? 0
  }
  if (output.buffer !== target.buffer) target.set(new Uint8Array(output.buffer))
}

function narrow(source: Uint8Array, to: FloatDType, target: Uint8Array): void {
  const input = signedWords32(source)
  const output = isAligned(target, 2) ? words16(target) : new Uint16Array(input.length)
  // Two loops: a call through a variable costs more than the rounding.
  if (to === 'bfloat16') {
    for (let i = 0; i < input.length; i++) output[i] = floatToBfloat(input[i] ?? 0)
  } else {
    for (let i = 0; i < input.length; i++) output[i] = floatToHalf(input[i] ?? 0)
  }
  if (output.buffer !== target.buffer) target.set(new Uint8Array(output.buffer))
}

/** Bits of the bfloat16 nearest to a float32's bits, which come signed: 32-bit sums are quicker than exact ones. */
function floatToBfloat(bits: number): number {
  if ((bits & 0x7fffffff) > 0x7f800000) return bits >>> 16 | 0x40
  return (bits + 0x7fff + (bits >>> 16 & 1) | 0) >>> 16
}

/** Bits of the float16 nearest to a float32's bits. */
function floatToHalf(bits: number): number {
  const sign = bits >>> 16 & 0x8000
  const magnitude = bits & 0x7fffffff
  if (magnitude > 0x7f800000) return sign | 0x7e00
  // 65520 and above round to infinity.
  if (magnitude >= 0x477ff000) return sign | 0x7c00
  // Below 2^-14 the result is subnormal: a multiple of 2^-24.
  if (magnitude < 0x38800000) return sign | subnormalHalf(magnitude)
  return sign | magnitude - 0x38000000 + 0xfff + (magnitude >>> 13 & 1) >>> 13
}

function subnormalHalf(magnitude: number): number {
  const shift = 126 - (magnitude >>> 23)
  if (shift > 24) return 0
  const mantissa = magnitude & 0x7fffff | 0x800000
  const half = 1 << shift - 1
  return mantissa + half - 1 + (mantissa >>> shift & 1) >>> shift
}

let halfTable: Uint32Array | undefined

/** float32 bits of all 65536 float16 patterns: 256 KB, made once. */
function halfToFloatTable(): Uint32Array {
  halfTable ??= Uint32Array.from({ length: 65_536 }, (_, bits) => halfToFloat(bits))
  return halfTable
}

function halfToFloat(bits: number): number {
  const sign = (bits & 0x8000) << 16
  const exponent = bits >>> 10 & 0x1f
  const mantissa = bits & 0x3ff
  if (exponent === 0x1f) return sign | 0x7f800000 | mantissa << 13
  if (exponent !== 0) return sign | exponent + 112 << 23 | mantissa << 13
  if (mantissa === 0) return sign
  // A subnormal is mantissa * 2^-24, a normal number in float32.
  const shift = Math.clz32(mantissa) - 21
  return sign | 113 - shift << 23 | (mantissa << shift & 0x3ff) << 13
}

function isAligned(bytes: Uint8Array, size: number): boolean {
  return bytes.byteOffset % size === 0
}

/** The bytes as 16-bit words; a copy only where they are not aligned. */
function words16(bytes: Uint8Array): Uint16Array {
  const aligned = isAligned(bytes, 2) ? bytes : Uint8Array.from(bytes)
  return new Uint16Array(aligned.buffer, aligned.byteOffset, aligned.byteLength / 2)
}

function signedWords32(bytes: Uint8Array): Int32Array {
  const aligned = isAligned(bytes, 4) ? bytes : Uint8Array.from(bytes)
  return new Int32Array(aligned.buffer, aligned.byteOffset, aligned.byteLength / 4)
}
