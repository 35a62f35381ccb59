import { dtypeSize, type FloatDType } from './dtype.ts'
import { KERNELS } from './kernels.ts'

/**
 * The part of the engine's own interface that is used here: neither TypeScript's libraries nor Node's types have it.
 */
declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array) => object
  readonly Instance: new (module: object) => { readonly exports: object }
}

/** Most elements that one turn of a conversion takes: what it touches stays in the processor's cache. */
export const CONVERSION_ELEMENTS = 65_536

const REGION_BYTES = CONVERSION_ELEMENTS * 4

/** One direction of conversion between two float types. All conversions of a thread share their memory. */
export interface Conversion {
  /** To be filled with up to `CONVERSION_ELEMENTS` elements; overwritten by every turn. */
  readonly input: Uint8Array
  /** Converts the first `count` elements of `input`; the result is valid until the next turn of any conversion. */
  run(count: number): Uint8Array
}

/** Reads from a byte up to another and writes from a third on. */
type Kernel = (source: number, target: number, end: number) => void

interface Kernels {
  readonly memory: { readonly buffer: ArrayBuffer }
  readonly widenBfloat16: Kernel
  readonly widenFloat16: Kernel
  readonly narrowBfloat16: Kernel
  readonly narrowFloat16: Kernel
}

let kernels: Kernels | undefined

/**
 * The conversion of `from` into another type `to`: exact upwards, to nearest even downwards (overflow gives infinity,
 * NaN stays NaN), between the halves through float32.
 */
export function conversion(from: FloatDType, to: FloatDType): Conversion {
  const { memory, ...functions } = (kernels ??= assemble())
  const bytes = new Uint8Array(memory.buffer)
  const widen = from === 'bfloat16' ? functions.widenBfloat16 : functions.widenFloat16
  const narrow = to === 'bfloat16' ? functions.narrowBfloat16 : functions.narrowFloat16
  const run = (count: number): Uint8Array => {
    if (count > 0 && from !== 'float32') widen(0, REGION_BYTES, count * 2)
    if (to === 'float32') return bytes.subarray(REGION_BYTES, REGION_BYTES + count * 4)
    const [source, target] = from === 'float32' ? [0, REGION_BYTES] : [REGION_BYTES, 0]
    if (count > 0) narrow(source, target, source + count * 4)
    return bytes.subarray(target, target + count * 2)
  }
  return { input: bytes.subarray(0, CONVERSION_ELEMENTS * dtypeSize(from)), run }
}

function assemble(): Kernels {
  const module = new WebAssembly.Module(Buffer.from(KERNELS, 'base64'))
  return new WebAssembly.Instance(module).exports as Kernels
}
