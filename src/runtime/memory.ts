import { DEVICE_TO_DEVICE, DEVICE_TO_HOST, HOST_TO_DEVICE, type CudaRuntime } from './cuda/cuda-runtime.ts'
import { RuntimeError } from './errors.ts'
import { type Pointer, addressOf, viewOf } from './library.ts'

/** `rows` pieces of `width` bytes, `fromPitch` bytes apart in the source and `toPitch` in the target. */
export interface PitchedCopy {
  readonly from: Pointer
  readonly fromPitch: number
  readonly to: Pointer
  readonly toPitch: number
  readonly width: number
  readonly rows: number
}

/** The memory in which a device computes. Addresses are valid in every thread; every call has ended when it returns. */
export interface DeviceHeap {
  /** Uninitialised on CUDA, zero on a CPU. Throws `RUNTIME_MEMORY` where there is no room. */
  allocate(bytes: number): Pointer
  /** Of an address that the same heap has allocated. */
  free(address: Pointer): void
  /** From this process's memory to the device's. */
  write(to: Pointer, bytes: Uint8Array): void
  /** From the device's memory to this process's, after all runs that are under way there. */
  read(from: Pointer, into: Uint8Array): void
  /** Within the device's memory; the pieces must not overlap. */
  copy(copies: readonly PitchedCopy[]): void
}

/**
 * Memory of this process: pages are only taken when first written. What it has allocated lives until it is freed, or
 * the heap itself goes.
 */
export class HostHeap implements DeviceHeap {
  readonly #buffers = new Map<Pointer, Uint8Array>()

  allocate(bytes: number): Pointer {
    const buffer = new Uint8Array(bytes)
    const address = addressOf(buffer)
    this.#buffers.set(address, buffer)
    return address
  }

  free(address: Pointer): void {
    this.#buffers.delete(address)
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
}

/** Memory of GPU `index`, as CUDA counts them. */
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
    try {
      this.#select()
      this.#cuda.call('cudaFree', address)
    } catch (error) {
      // With the device its memory is gone as well.
      if (!(error instanceof RuntimeError) || error.code !== 'RUNTIME_DEVICE_LOST') throw error
    }
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

  #room(): string {
    const free = new BigUint64Array(1),
      total = new BigUint64Array(1)
    this.#cuda.call('cudaMemGetInfo', free, total)
    return `${Number(free[0]! >> 20n)} of ${Number(total[0]! >> 20n)} MB are free`
  }

  /** The runtime's own streams do not wait for CUDA's default stream, whose copies may still be under way. */
  #finish(): void {
    this.#cuda.call('cudaDeviceSynchronize')
  }

  /** A thread's current device is anyone's to change. */
  #select(): void {
    this.#cuda.call('cudaSetDevice', this.#index)
  }
}
