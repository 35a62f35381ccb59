import type { Pointer } from '../../../runtime/library.ts'
import type { BufferHeap } from '../../../runtime/memory.ts'
import type { BufferBatch } from './buffer-batch.ts'

export interface BufferStepOptions {
  readonly maxRows: number
  /** Of one run, over its rows. */
  readonly maxTokens: number
  /** Of one token's hidden states. */
  readonly hiddenBytes: number
}

/**
 * Where the inputs and outputs of runs lie on the device: in the same buffers in every step, of which a smaller run
 * takes the beginning. All of a step's inputs are one call to copy.
 */
export class BufferStep {
  /** int32 [rows] */
  readonly lengths: Pointer
  /** int64 [rows, tokens] */
  readonly positions: Pointer
  /** [rows, tokens, hidden] */
  readonly input: Pointer
  /** [rows, tokens, hidden] */
  readonly output: Pointer
  /** int32 [1] of each row, in this process's memory: the row's length after the run. */
  readonly totals: readonly Int32Array[]
  readonly #heap: BufferHeap
  readonly #options: BufferStepOptions
  readonly #allocated: Pointer[] = []
  readonly #lengths: Int32Array
  readonly #positions: BigInt64Array
  /** One for each block that has had any, [tokens, hidden] each. */
  readonly #prompts = new Map<number, Pointer>()
  #slots: { readonly buffer: Pointer; readonly count: number } | undefined

  /** Throws `RUNTIME_MEMORY`; nothing is left behind then. */
  constructor(heap: BufferHeap, options: BufferStepOptions) {
    const { maxRows, maxTokens, hiddenBytes } = options
    this.#heap = heap
    this.#options = options
    this.#lengths = new Int32Array(maxRows)
    this.#positions = new BigInt64Array(maxTokens)
    this.totals = Array.from({ length: maxRows }, () => new Int32Array(1))
    try {
      this.lengths = this.#allocate(this.#lengths.byteLength)
      this.positions = this.#allocate(this.#positions.byteLength)
      this.input = this.#allocate(maxTokens * hiddenBytes)
      this.output = this.#allocate(maxTokens * hiddenBytes)
    } catch (error) {
      this.release()
      throw error
    }
  }

  /**
   * Brings a batch's inputs to the device, for `size` rows: those beyond the batch's begin at position 0. Throws
   * `RangeError` for a batch of more rows or tokens than there is room for.
   */
  write({ pastLengths, tokens, input }: BufferBatch, size: number): void {
    const { maxRows, maxTokens } = this.#options
    if (size > maxRows || size * tokens > maxTokens)
      throw new RangeError(`a step of ${size} rows of ${tokens} tokens: ${maxRows} rows, ${maxTokens} tokens are most`)
    for (let row = 0; row < size; row++) {
      const past = pastLengths[row] ?? 0
      this.#lengths[row] = past + tokens - 1
      this.totals[row]![0] = past + tokens
      for (let token = 0; token < tokens; token++) this.#positions[row * tokens + token] = BigInt(past + token)
    }
    this.#heap.writeAll([
      [this.lengths, bytesOf(this.#lengths.subarray(0, size))],
      [this.positions, bytesOf(this.#positions.subarray(0, size * tokens))],
      [this.input, input],
    ])
  }

  read(output: Uint8Array): void {
    this.#heap.read(this.output, output)
  }

  /** Brings what is added to a block's input to the device: all of the chunk's tokens, zeros behind `prompts`. */
  writePrompts(block: number, prompts: Uint8Array, tokens: number): Pointer {
    const { maxTokens, hiddenBytes } = this.#options
    const buffer = this.#prompts.get(block) ?? this.#allocate(maxTokens * hiddenBytes)
    this.#prompts.set(block, buffer)
    const padded = new Uint8Array(tokens * hiddenBytes)
    padded.set(prompts)
    this.#heap.write(buffer, padded)
    return buffer
  }

  /** int64 [at least count]: the numbers from 0 on. */
  slots(count: number): Pointer {
    if (this.#slots !== undefined && this.#slots.count >= count) return this.#slots.buffer
    // The one before may be bound by runs to come; it goes with all others.
    const numbers = BigInt64Array.from({ length: 2 * count }, (_, i) => BigInt(i))
    const buffer = this.#allocate(numbers.byteLength)
    this.#heap.write(buffer, bytesOf(numbers))
    this.#slots = { buffer, count: numbers.length }
    return buffer
  }

  release(): void {
    for (const buffer of this.#allocated.splice(0)) this.#heap.free(buffer)
  }

  #allocate(bytes: number): Pointer {
    const buffer = this.#heap.allocate(bytes)
    this.#allocated.push(buffer)
    return buffer
  }
}

function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength)
}
