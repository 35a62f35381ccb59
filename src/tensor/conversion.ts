import { dtypeSize, type FloatDType } from './dtype.ts'
import { KERNELS } from './kernels.ts'

/**
 * The part of JavaScript's `WebAssembly` that this module uses: neither TypeScript's "es" libraries nor Node's types
 * declare it.
 */
declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array) => object
  readonly Instance: new (module: object) => { readonly exports: object }
}

/** The most elements that one `run` converts. Input and result then stay in the processor's cache. */
export const CONVERSION_ELEMENTS = 65_536

const REGION_BYTES = CONVERSION_ELEMENTS * 4

/** Converts elements of one float type into another one. All conversions of a thread work in the same memory. */
export interface Conversion {
  /** Where the caller puts up to `CONVERSION_ELEMENTS` elements before `run`; `run` overwrites them. */
  readonly input: Uint8Array
  /**
   * Converts the first `count` elements of `input`. The result is valid until the next `run` of any conversion of the
   * thread.
   */
  run(count: number): Uint8Array
}

/**
 * A function of the WebAssembly module: converts what lies from byte `source` to `end` of its memory, and writes from
 * byte `target` on.
 */
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
 * Makes the conversion from one float type to another one. Widening is exact; narrowing rounds to nearest, ties to even
 * (overflow gives infinity, NaN stays NaN). Between float16 and bfloat16 it goes through float32.
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
