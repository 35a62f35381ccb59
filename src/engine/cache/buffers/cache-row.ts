import type { BufferHeap } from '../../../runtime/memory.ts'
import type { Pointer } from '../../../runtime/library.ts'
import type { BlockRange } from '../kv-cache.ts'
import { bufferCapacity } from './buffer-capacity.ts'
import type { BlockBuffers, BufferMover } from './buffer-mover.ts'

/** What the rows of a span are made of. */
export interface CacheRowModules {
  readonly heap: BufferHeap
  readonly mover: BufferMover
  readonly numBlocks: number
  /** Of one token's keys in one block, in bytes. */
  readonly tokenBytes: number
}

let nextId = 1

/**
 * The keys and values of one sequence: for each block that it has been in a buffer for keys and one for values, which
 * larger ones replace as it grows. What lies behind its length is of no account.
 */
export class CacheRow {
  readonly #modules: CacheRowModules
  readonly #blocks: (BlockBuffers | undefined)[]
  #id = nextId++

  constructor(modules: CacheRowModules) {
    this.#modules = modules
    this.#blocks = Array.from({ length: modules.numBlocks }, () => undefined)
  }

  /** Another one whenever some of its buffers are others than before; no two rows ever have the same. */
  get id(): number {
    return this.#id
  }

  /** Throws `RangeError` where a run of `tokens` positions in all would write beyond the block's buffers. */
  block(block: number, tokens: number): BlockBuffers {
    const buffers = this.#blocks[block]
    if (buffers !== undefined && tokens <= buffers.capacity) return buffers
    throw new RangeError(`block ${block} of a sequence has room for ${buffers?.capacity ?? 0} tokens, not ${tokens}`)
  }

  /**
   * Makes room for `tokens` tokens in some blocks, and keeps what they hold. Throws `RUNTIME_MEMORY`; all that it held
   * is there then, in buffers of one size or the other.
   */
  reserve(tokens: number, { start, end }: BlockRange): void {
    for (let block = start; block < end; block++) {
      const before = this.#blocks[block]
      if (before !== undefined && before.capacity >= tokens) continue
      this.#replace(block, bufferCapacity(tokens), before)
    }
  }

  /** Holds what another row holds of its first `tokens` tokens, in place of its own. Throws as `reserve`. */
  copyFrom(source: CacheRow, tokens: number, { start, end }: BlockRange): void {
    for (let block = start; block < end; block++) {
      const from = source.block(block, tokens)
      const before = this.#blocks[block]
      const capacity = Math.max(bufferCapacity(tokens), before?.capacity ?? 0)
      if (before !== undefined && before.capacity === capacity) this.#modules.mover.move(from, before)
      else this.#replace(block, capacity, from)
    }
  }

  release(): void {
    for (const block of this.#blocks.keys()) this.#free(block)
  }

  /** New buffers for a block, with what `from` holds. */
  #replace(block: number, capacity: number, from: BlockBuffers | undefined): void {
    const made = this.#allocate(capacity)
    try {
      if (from !== undefined) this.#modules.mover.move(from, made)
    } catch (error) {
      for (const buffer of [made.key, made.value]) this.#modules.heap.free(buffer)
      throw error
    }
    this.#free(block)
    this.#blocks[block] = made
    this.#id = nextId++
  }

  #allocate(capacity: number): BlockBuffers {
    const { heap, tokenBytes } = this.#modules
    const key = heap.allocate(capacity * tokenBytes)
    let value: Pointer
    try {
      value = heap.allocate(capacity * tokenBytes)
    } catch (error) {
      heap.free(key)
      throw error
    }
    return { key, value, capacity }
  }

  #free(block: number): void {
    const buffers = this.#blocks[block]
    if (buffers === undefined) return
    this.#blocks[block] = undefined
    for (const buffer of [buffers.key, buffers.value]) this.#modules.heap.free(buffer)
  }
}
