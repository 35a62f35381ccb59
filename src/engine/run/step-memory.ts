import type { Pointer } from '../../runtime/library.ts'
import type { DeviceHeap } from '../../runtime/memory.ts'
import type { RowBatch } from './row-batch.ts'
import { StagedMemory } from './staged-memory.ts'

/** Tensors begin at multiples of this. */
const ALIGNMENT = 256

/**
 * Where a step's inputs and outputs lie on the device: at the same addresses in every step, as recorded runs need it. A
 * step's inputs are one copy, its outputs another, and nothing waits for the device but these and the run.
 */
export class StepMemory {
  readonly #hiddenBytes: number
  readonly #maxTokens: number
  readonly #inputBytes: number
  readonly #hiddenOffset: number
  readonly #positionsOffset: number
  readonly #memory: StagedMemory

  /**
   * For steps of up to `maxTokens` tokens, over all rows, whose hidden states take `hiddenBytes` each. Throws
   * `RUNTIME_MEMORY`.
   */
  constructor(heap: DeviceHeap, maxTokens: number, hiddenBytes: number) {
    this.#hiddenBytes = hiddenBytes
    this.#maxTokens = maxTokens
    this.#positionsOffset = aligned(maxTokens * Int32Array.BYTES_PER_ELEMENT)
    this.#hiddenOffset = this.#positionsOffset + aligned(maxTokens * BigInt64Array.BYTES_PER_ELEMENT)
    this.#inputBytes = this.#hiddenOffset + aligned(maxTokens * hiddenBytes)
    this.#memory = new StagedMemory(heap, this.#inputBytes + aligned(maxTokens * hiddenBytes), this.#inputBytes)
  }

  /** int32 [rows] */
  get lengths(): Pointer {
    return this.#memory.device
  }

  /** int64 [rows, tokens] */
  get positions(): Pointer {
    return this.#memory.device + BigInt(this.#positionsOffset)
  }

  /** [rows, tokens, hidden] */
  get input(): Pointer {
    return this.#memory.device + BigInt(this.#hiddenOffset)
  }

  /** [rows, tokens, hidden] */
  get output(): Pointer {
    return this.#memory.device + BigInt(this.#inputBytes)
  }

  /** Brings a batch's inputs to the device. Throws `RangeError` for one of more tokens than there is room for. */
  write({ pastLengths, tokens, input }: RowBatch): void {
    const count = pastLengths.length * tokens
    if (count > this.#maxTokens)
      throw new RangeError(`a step of ${count} tokens is larger than the ${this.#maxTokens} that were declared`)
    const { bytes } = this.#memory
    const { buffer, byteOffset } = bytes
    new Int32Array(buffer, byteOffset, pastLengths.length).set(pastLengths.map((past) => past + tokens - 1))
    const positions = new BigInt64Array(buffer, byteOffset + this.#positionsOffset, count)
    for (let i = 0; i < count; i++) positions[i] = BigInt(pastLengths[Math.floor(i / tokens)]! + (i % tokens))
    bytes.set(input, this.#hiddenOffset)
    this.#memory.write(this.#hiddenOffset + count * this.#hiddenBytes)
  }

  /** Fetches the output of a step into `output`. */
  read(output: Uint8Array): void {
    output.set(this.#memory.read(this.output, output.byteLength))
  }

  release(): void {
    this.#memory.release()
  }
}

function aligned(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT
}
