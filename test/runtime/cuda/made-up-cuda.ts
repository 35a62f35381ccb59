import { type CudaFunction, type CudaRuntime } from '../../../src/runtime/cuda/cuda-runtime.ts'
import { runtimeError } from '../../../src/runtime/errors.ts'
import { type Pointer, viewOf } from '../../../src/runtime/library.ts'
import { HostHeap } from '../../../src/runtime/memory.ts'

/** CUDA's functions on this process's own memory: what they are called for is kept, and copies are made when asked. */
export class MadeUpCuda implements CudaRuntime {
  readonly libraries = []
  readonly calls: CudaFunction[] = []
  /** Functions that fail. */
  readonly failing = new Set<CudaFunction>()
  readonly #memory = new HostHeap()
  /** Copies that have begun and not ended, by the events behind them. */
  readonly #copies: { copy: () => void; event?: bigint }[] = []
  #nextHandle = 1n
  allocated = 0

  call(name: CudaFunction, ...args: (bigint | number | ArrayBufferView)[]): void {
    this.calls.push(name)
    if (this.failing.has(name)) throw runtimeError(name, 'CUDA failure 2: out of memory')
    switch (name) {
      case 'cudaMalloc':
      case 'cudaHostAlloc':
        return this.#give(args[0], this.#memory.allocate(Number(args[1])), 1)
      case 'cudaFree':
      case 'cudaFreeHost':
        this.allocated--
        return this.#memory.free(args[0] as Pointer)
      case 'cudaMemcpy':
        return this.#copy(args[0] as Pointer, args[1] as Pointer, Number(args[2]))
      case 'cudaMemcpyAsync':
        this.#copies.push({ copy: () => this.#copy(args[0] as Pointer, args[1] as Pointer, Number(args[2])) })
        return
      case 'cudaEventRecord':
        this.#copies.at(-1)!.event = args[0] as bigint
        return
      case 'cudaEventSynchronize':
        while (this.#copies.length > 0) {
          const { copy, event } = this.#copies.shift()!
          copy()
          if (event === args[0]) return
        }
        return
      case 'cudaStreamCreateWithFlags':
      case 'cudaEventCreateWithFlags':
        return this.#give(args[0], this.#nextHandle++, 1)
      case 'cudaStreamDestroy':
      case 'cudaEventDestroy':
        this.allocated--
        return
      default:
    }
  }

  /** Copies that have not ended. */
  get pending(): number {
    return this.#copies.length
  }

  #give(out: unknown, value: bigint, count: number): void {
    ;(out as BigUint64Array)[0] = value
    this.allocated += count
  }

  #copy(to: Pointer | Uint8Array, from: Pointer | Uint8Array, bytes: number): void {
    const view = (place: Pointer | Uint8Array) => (typeof place === 'bigint' ? viewOf(place, bytes) : place)
    view(to).set(view(from).subarray(0, bytes))
  }
}
