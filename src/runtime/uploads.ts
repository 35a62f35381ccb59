import { DISABLE_TIMING, HOST_TO_DEVICE, NON_BLOCKING, type CudaRuntime } from './cuda/cuda-runtime.ts'
import { type Pointer, addressOf, viewOf } from './library.ts'
import type { PieceHeap } from './memory.ts'
import type { MappedMemory } from './system-memory.ts'

/** Writes to a device's memory that may go on while the caller prepares the next ones. */
export interface Uploads {
  /** Memory of this process that is copied from without a detour; undefined where there is none to be had. */
  allocate(bytes: number): MappedMemory | undefined
  /**
   * Copies bytes to the beginning of a piece, at once or by and by; `done` is called when they may be changed, at the
   * latest by `finish`. Throws `RuntimeError`, also for what was to be copied before.
   */
  write(to: Pointer, bytes: Uint8Array, done: () => void): void
  /** Waits until everything is there. Throws `RuntimeError`. */
  finish(): void
  /** After `finish`, or where the device is lost. */
  release(): void
}

/** Each write by itself. */
export class PlainUploads implements Uploads {
  readonly #heap: PieceHeap

  constructor(heap: PieceHeap) {
    this.#heap = heap
  }

  allocate(): undefined {
    return undefined
  }

  write(to: Pointer, bytes: Uint8Array, done: () => void): void {
    this.#heap.write(to, bytes)
    done()
  }

  finish(): void {}

  release(): void {}
}

interface PendingCopy {
  readonly event: Pointer
  /** Held until it is copied. */
  readonly bytes: Uint8Array
  readonly done: () => void
}

/** So many bytes may be under way: the memory that they lie in cannot be used for the next. */
const MAX_PENDING_BYTES = 256 << 20

/**
 * Copies to a GPU on a stream of their own, out of page-locked memory. What is not page-locked goes the same way, but
 * the call then waits for most of it. For one thread.
 */
export class CudaUploads implements Uploads {
  readonly #cuda: Pick<CudaRuntime, 'call'>
  readonly #index: number
  readonly #pending: PendingCopy[] = []
  readonly #events: Pointer[] = []
  #stream: Pointer | undefined
  #pendingBytes = 0

  constructor(cuda: Pick<CudaRuntime, 'call'>, index: number) {
    this.#cuda = cuda
    this.#index = index
  }

  allocate(bytes: number): MappedMemory | undefined {
    this.#cuda.call('cudaSetDevice', this.#index)
    let address: Pointer
    try {
      address = this.#create('cudaHostAlloc', bytes, 0)
    } catch {
      // A system locks so many pages and no more; then it is slower.
      return undefined
    }
    return { bytes: viewOf(address, bytes), address, unmap: () => this.#cuda.call('cudaFreeHost', address) }
  }

  write(to: Pointer, bytes: Uint8Array, done: () => void): void {
    while (this.#pending.length > 0 && this.#pendingBytes + bytes.byteLength > MAX_PENDING_BYTES) this.#waitForOldest()
    this.#cuda.call('cudaSetDevice', this.#index)
    this.#stream ??= this.#create('cudaStreamCreateWithFlags', NON_BLOCKING)
    if (this.#events.length === 0) this.#events.push(this.#create('cudaEventCreateWithFlags', DISABLE_TIMING))
    const event = this.#events.at(-1)!
    this.#cuda.call('cudaMemcpyAsync', to, addressOf(bytes), bytes.byteLength, HOST_TO_DEVICE, this.#stream)
    this.#cuda.call('cudaEventRecord', event, this.#stream)
    this.#events.pop()
    this.#pending.push({ event, bytes, done })
    this.#pendingBytes += bytes.byteLength
  }

  finish(): void {
    while (this.#pending.length > 0) this.#waitForOldest()
  }

  release(): void {
    for (const event of this.#events.splice(0)) this.#cuda.call('cudaEventDestroy', event)
    if (this.#stream !== undefined) this.#cuda.call('cudaStreamDestroy', this.#stream)
    this.#stream = undefined
  }

  #waitForOldest(): void {
    const { event, bytes, done } = this.#pending.shift()!
    this.#pendingBytes -= bytes.byteLength
    this.#events.push(event)
    this.#cuda.call('cudaEventSynchronize', event)
    done()
  }

  #create(
    call: 'cudaHostAlloc' | 'cudaStreamCreateWithFlags' | 'cudaEventCreateWithFlags',
    ...args: number[]
  ): Pointer {
    const out = new BigUint64Array(1)
    this.#cuda.call(call, out, ...args)
    return out[0]!
  }
}
