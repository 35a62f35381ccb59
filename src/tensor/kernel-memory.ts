import { KERNELS } from './kernels.ts'

/**
 * The part of JavaScript's `WebAssembly` that this module uses: neither TypeScript's "es" libraries nor Node's types
 * declare it.
 */
declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array) => object
  readonly Instance: new (module: object) => { readonly exports: object }
}

/** The most elements that one call of a kernel takes. Input and result then stay in the processor's cache. */
export const CONVERSION_ELEMENTS = 65_536

/** Bytes of each half of the kernels' memory: so many elements of four bytes. */
export const REGION_BYTES = CONVERSION_ELEMENTS * 4

/**
 * A function of the WebAssembly module: converts what lies from byte `source` to `end` of its memory, and writes from
 * byte `target` on.
 */
type Kernel = (source: number, target: number, end: number) => void

/** The functions of kernels.wat, and the memory in which all conversions of a thread work: two regions. */
export interface Kernels {
  readonly bytes: Uint8Array
  readonly widenBfloat16: Kernel
  readonly widenFloat16: Kernel
  readonly narrowBfloat16: Kernel
  readonly narrowFloat16: Kernel
  readonly packInt8: Kernel
  readonly unpackInt8: Kernel
  readonly soundInt8: (source: number, end: number) => 0 | 1
  readonly finiteFloat32: (source: number, end: number) => 0 | 1
  readonly finiteHalf: (source: number, end: number, exponent: number) => 0 | 1
}

let assembled: Kernels | undefined

/** This thread's kernels, assembled when they are first needed. */
export function kernels(): Kernels {
  assembled ??= assemble()
  return assembled
}

function assemble(): Kernels {
  const module = new WebAssembly.Module(Buffer.from(KERNELS, 'base64'))
  const { memory, ...functions } = new WebAssembly.Instance(module).exports as Omit<Kernels, 'bytes'> & {
    readonly memory: { readonly buffer: ArrayBuffer }
  }
  return { ...functions, bytes: new Uint8Array(memory.buffer) }
}
