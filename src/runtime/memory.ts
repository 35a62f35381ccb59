import { type CudaRuntime, DEVICE_TO_DEVICE, DEVICE_TO_HOST, HOST_TO_DEVICE } from './cuda/cuda-runtime.ts'
import { RuntimeError } from './errors.ts'
import { type Pointer, addressOf, viewOf } from './library.ts'
import { SystemMemory } from './system-memory.ts'

/**
 * A copy of `rows` pieces of `width` bytes each. Successive pieces begin `fromPitch` bytes apart in the source and
 * `toPitch` in the target.
 */
export interface PitchedCopy {
  readonly from: Pointer
  readonly fromPitch: number
  readonly to: Pointer
  readonly toPitch: number
  readonly width: number
  readonly rows: number
}

/** Pieces of a device's memory, each named by a pointer. All calls are synchronous. */
export interface PieceHeap {
  /** Allocates memory: zeros on a CPU, anything elsewhere. Throws `RUNTIME_MEMORY` if there is no room. */
  allocate(bytes: number): Pointer
  /** Frees what this heap has allocated. */
  free(piece: Pointer): void
  /** Copies bytes of this process to the beginning of a piece. */
  write(to: Pointer, bytes: Uint8Array): void
  /** Copies the beginning of a piece to this process, after all runs under way on the device have ended. */
  read(from: Pointer, into: Uint8Array): void
}

/** Memory of buffers whose pointers are handles: nothing can be said about the middle of one. */
export interface BufferHeap extends PieceHeap {
  /** Takes over a buffer of so many bytes that another thread's heap has allocated. */
  adopt(buffer: Pointer, bytes: number): void
  /** As several calls of `write`, at once. */
  writeAll(copies: readonly (readonly [to: Pointer, bytes: Uint8Array])[]): void
  /** Copies the first bytes of one buffer to another. */
  copyBuffer(from: Pointer, to: Pointer, bytes: number): void
}

/**
 * Memory of this process that a device copies from and to without a detour, and without anybody having to wait for the
 * device: a copy has ended when the call returns.
 */
export interface Staging {
  readonly bytes: Uint8Array
  /** Copies the first `bytes` of it to the device, where no run is under way. */
  write(to: Pointer, bytes: number): void
  /** Copies from the device, after a run that has returned. */
  read(from: Pointer, bytes: number): void
  release(): void
}

/**
 * Memory of addresses, which are valid in every thread of the process: what is added to a pointer is a pointer again.
 */
export interface DeviceHeap extends PieceHeap {
  /** Copies within the device's memory; source and target must not overlap. */
  copy(copies: readonly PitchedCopy[]): void
  /** Memory for what goes to and fro in each run. */
  staging(bytes: number): Staging
}

/**
 * From this size on memory is taken of the system. V8 counts buffers of its own, also the gigabytes of a cache that
 * nobody has written to: with more than half of what its heap may have, it collects all garbage again and again.
 */
const SYSTEM_BYTES = 1 << 20

/**
 * The CPU's memory. The system provides pages when they are first written. Large pieces live until they are freed,
 * others also no longer than the heap.
 */
export class HostHeap implements DeviceHeap {
  readonly #system: SystemMemory
  readonly #buffers = new Map<Pointer, Uint8Array>()
  /** The sizes of pieces that are the system's. */
  readonly #taken = new Map<Pointer, number>()

  constructor(system = new SystemMemory()) {
    this.#system = system
  }

  allocate(bytes: number): Pointer {
    const taken = bytes < SYSTEM_BYTES ? undefined : this.#system.take(bytes)
    if (taken !== undefined) {
      this.#taken.set(taken, bytes)
      return taken
    }
    const buffer = new Uint8Array(bytes)
    const address = addressOf(buffer)
    this.#buffers.set(address, buffer)
    return address
  }

  free(address: Pointer): void {
    this.#buffers.delete(address)
    const bytes = this.#taken.get(address)
    if (bytes === undefined) return
    this.#taken.delete(address)
    this.#system.giveBack(address, bytes)
  }

  write(to: Pointer, bytes: Uint8Array): void {
    viewOf(to, bytes.byteLength).set(bytes)
  }

  read(from: Pointer, into: Uint8Array): void {
    into.set(viewOf(from, into.byteLength))
  }

  copy(copies: readonly PitchedCopy[]): void {
    for (const { from, fromPitch, to, toPitch, width, rows } of copies) {
      const source = viewOf(from, (rows - 1) * fromPitch + width),
        target = viewOf(to, (rows - 1) * toPitch + width)
      for (let row = 0; row < rows; row++)
        target.set(source.subarray(row * fromPitch, row * fromPitch + width), row * toPitch)
    }
  }

  staging(bytes: number): Staging {
    return plainStaging(this, bytes)
  }
}

/** Staging through the calls that wait for the device. */
function plainStaging(heap: PieceHeap, byteLength: number): Staging {
  const bytes = new Uint8Array(byteLength)
  return {
    bytes,
    write: (to, count) => heap.write(to, bytes.subarray(0, count)),
    read: (from, count) => heap.read(from, bytes.subarray(0, count)),
    release: () => undefined,
  }
}

/** The memory of GPU `index`, in CUDA's numbering. */
export class CudaHeap implements DeviceHeap {
  readonly #cuda: CudaRuntime
  readonly #index: number

  constructor(cuda: CudaRuntime, index: number) {
    this.#cuda = cuda
    this.#index = index
  }

  allocate(bytes: number): Pointer {
    const out = new BigUint64Array(1)
    this.#select()
    try {
      this.#cuda.call('cudaMalloc', out, bytes)
    } catch (error) {
      if (!(error instanceof RuntimeError) || error.code !== 'RUNTIME_MEMORY') throw error
      throw new RuntimeError(
        'RUNTIME_MEMORY',
        `GPU ${this.#index} has no room for ${Math.ceil(bytes / 2 ** 20)} MB more: ${this.#room()}; ` +
          'serve fewer blocks or a smaller --attn-cache-tokens',
        { cause: error },
      )
    }
    return out[0]!
  }

  free(address: Pointer): void {
    this.#freed('cudaFree', address)
  }

  write(to: Pointer, bytes: Uint8Array): void {
    this.#select()
    this.#cuda.call('cudaMemcpy', to, bytes, bytes.byteLength, HOST_TO_DEVICE)
    this.#finish()
  }

  read(from: Pointer, into: Uint8Array): void {
    this.#select()
    this.#finish()
    this.#cuda.call('cudaMemcpy', into, from, into.byteLength, DEVICE_TO_HOST)
  }

  copy(copies: readonly PitchedCopy[]): void {
    this.#select()
    for (const { from, fromPitch, to, toPitch, width, rows } of copies) {
      this.#cuda.call('cudaMemcpy2D', to, toPitch, from, fromPitch, width, rows, DEVICE_TO_DEVICE)
    }
    this.#finish()
  }

  /**
   * In page-locked memory, from and to which `cudaMemcpy` returns when the copy has ended; onnxruntime's runs have
   * ended when they return. So nothing needs to wait for the whole device. Where the system locks no more pages, as
   * `write` and `read`.
   */
  staging(byteLength: number): Staging {
    const out = new BigUint64Array(1)
    this.#select()
    try {
      this.#cuda.call('cudaHostAlloc', out, byteLength, 0)
    } catch {
      return plainStaging(this, byteLength)
    }
    const address = out[0]!
    return {
      bytes: viewOf(address, byteLength),
      write: (to, bytes) => {
        this.#select()
        this.#cuda.call('cudaMemcpy', to, address, bytes, HOST_TO_DEVICE)
      },
      read: (from, bytes) => this.#cuda.call('cudaMemcpy', address, from, bytes, DEVICE_TO_HOST),
      release: () => this.#freed('cudaFreeHost', address),
    }
  }

  /** How much of the GPU's memory is free, for messages. */
  #room(): string {
    const free = new BigUint64Array(1),
      total = new BigUint64Array(1)
    this.#cuda.call('cudaMemGetInfo', free, total)
    return `${Number(free[0]! >> 20n)} of ${Number(total[0]! >> 20n)} MB are free`
  }

  #freed(call: 'cudaFree' | 'cudaFreeHost', address: Pointer): void {
    try {
      this.#select()
      this.#cuda.call(call, address)
    } catch (error) {
      // A lost device's memory is gone already.
      if (!(error instanceof RuntimeError) || error.code !== 'RUNTIME_DEVICE_LOST') throw error
    }
  }

  /** Waits for copies on CUDA's default stream, since onnxruntime's own streams do not wait for that one. */
  #finish(): void {
    this.#cuda.call('cudaDeviceSynchronize')
  }

  /** Makes the GPU the thread's current device, which other code on the thread may have changed. */
  #select(): void {
    this.#cuda.call('cudaSetDevice', this.#index)
  }
}
