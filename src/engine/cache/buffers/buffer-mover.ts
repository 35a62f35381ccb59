import { moveGraph } from '../../../families/graphs/cache-graphs.ts'
import { encodeModel } from '../../../graph/encode.ts'
import { BoundRun } from '../../../runtime/bound-run.ts'
import type { Device } from '../../../runtime/device.ts'
import type { Environment } from '../../../runtime/environment.ts'
import type { Pointer } from '../../../runtime/library.ts'
import type { BufferHeap } from '../../../runtime/memory.ts'
import { createResidentSession } from '../../../runtime/session.ts'
import { TensorScope } from '../../../runtime/tensor-scope.ts'
import { memoryInfo } from '../../../runtime/values.ts'
import type { CacheShape } from '../rows/row-memory.ts'

/** One sequence's keys and values in one block, [kvHeads, capacity, headDim] each in a buffer of its own. */
export interface BlockBuffers {
  readonly key: Pointer
  readonly value: Pointer
  readonly capacity: number
}

/**
 * Moves a sequence's keys and values between buffers. Where the capacities are equal that is a copy of bytes; where
 * they are not, every head begins elsewhere, and the device gathers them.
 */
export class BufferMover {
  readonly #env: Environment
  readonly #heap: BufferHeap
  readonly #shape: CacheShape
  readonly #tokenBytes: number
  readonly #session: Pointer
  readonly #memory: Pointer
  /** Of the last move, by whose capacities it is known: what is moved from where. */
  #slots: { readonly buffer: Pointer; readonly from: number; readonly to: number } | undefined

  /** `tokenBytes`: of one token's keys in one block. Throws `RuntimeError`. */
  constructor(env: Environment, heap: BufferHeap, device: Device, shape: CacheShape, tokenBytes: number) {
    this.#env = env
    this.#heap = heap
    this.#shape = shape
    this.#tokenBytes = tokenBytes
    const model = encodeModel(moveGraph({ ...shape, headDim: shape.cacheHeadDim }), new Map())
    this.#session = createResidentSession(env, device, model, [], { cudaGraphs: false, workspaceBytes: 0 })
    this.#memory = memoryInfo(env.ort, device)
  }

  /** What `to` holds behind the smaller of the capacities is of no account. Throws `RuntimeError`. */
  move(from: BlockBuffers, to: BlockBuffers): void {
    if (from.capacity === to.capacity) {
      const bytes = from.capacity * this.#tokenBytes
      this.#heap.copyBuffer(from.key, to.key, bytes)
      this.#heap.copyBuffer(from.value, to.value, bytes)
      return
    }
    const slots = this.#slotsOf(from.capacity, to.capacity)
    const scope = new TensorScope(this.#env.ort)
    const wrap = (buffer: Pointer, capacity: number) =>
      scope.wrap(this.#memory, this.#shape.dtype, [this.#shape.kvHeads, capacity, this.#shape.cacheHeadDim], buffer)
    using run = new BoundRun(
      this.#env.ort,
      this.#session,
      scope,
      [
        ['key', wrap(from.key, from.capacity)],
        ['value', wrap(from.value, from.capacity)],
        ['slots', scope.wrap(this.#memory, 'int32', [to.capacity], slots)],
      ],
      [
        ['moved_key', wrap(to.key, to.capacity)],
        ['moved_value', wrap(to.value, to.capacity)],
      ],
    )
    run.run()
  }

  close(): void {
    if (this.#slots !== undefined) this.#heap.free(this.#slots.buffer)
    this.#slots = undefined
    this.#env.ort.release('ReleaseSession', this.#session)
    this.#env.ort.release('ReleaseMemoryInfo', this.#memory)
  }

  /** Which slot of `from` each slot of `to` takes; the last one where there are no more. */
  #slotsOf(from: number, to: number): Pointer {
    if (this.#slots?.from === from && this.#slots.to === to) return this.#slots.buffer
    if (this.#slots !== undefined) this.#heap.free(this.#slots.buffer)
    this.#slots = undefined
    const numbers = Int32Array.from({ length: to }, (_, slot) => Math.min(slot, from - 1))
    const buffer = this.#heap.allocate(numbers.byteLength)
    this.#slots = { buffer, from, to }
    this.#heap.write(buffer, new Uint8Array(numbers.buffer))
    return buffer
  }
}
