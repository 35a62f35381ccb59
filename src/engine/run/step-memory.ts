import type { Pointer } from '../../runtime/library.ts'
import type { DeviceHeap, Staging } from '../../runtime/memory.ts'
import type { RowBatch } from './row-batch.ts'

/** Tensors begin at multiples of this. */
const ALIGNMENT = 256

/**
 * Where a step's inputs and outputs lie on the device: at the same addresses in every step, as recorded runs need it. A
 * step's inputs are one copy, its outputs another, and nothing waits for the device but these and the run.
 */
export class StepMemory {
  readonly #heap: DeviceHeap
  readonly #hiddenBytes: number
  readonly #maxTokens: number
  readonly #inputBytes: number
  /** Where inputs are put together for the copy; outputs come back there, too. */
  readonly #staging: Staging
  readonly #hiddenOffset: number
  readonly #positionsOffset: number
  readonly #device: Pointer

  /**
   * For steps of up to `maxTokens` tokens, over all rows, whose hidden states take `hiddenBytes` each. Throws
   * `RUNTIME_MEMORY`.
   */
  constructor(heap: DeviceHeap, maxTokens: number, hiddenBytes: number) {
    this.#heap = heap
    this.#hiddenBytes = hiddenBytes
    this.#maxTokens = maxTokens
    this.#positionsOffset = aligned(maxTokens * Int32Array.BYTES_PER_ELEMENT)
    this.#hiddenOffset = this.#positionsOffset + aligned(maxTokens * BigInt64Array.BYTES_PER_ELEMENT)
    this.#inputBytes = this.#hiddenOffset + aligned(maxTokens * hiddenBytes)
    this.#device = heap.allocate(this.#inputBytes + aligned(maxTokens * hiddenBytes))
    this.#staging = heap.staging(this.#inputBytes)
  }

  /** int32 [rows] */
  get lengths(): Pointer {
    return this.#device
  }

  /** int64 [rows, tokens] */
  get positions(): Pointer {
    return this.#device + BigInt(this.#positionsOffset)
  }

  /** [rows, tokens, hidden] */
  get input(): Pointer {
    return this.#device + BigInt(this.#hiddenOffset)
  }

  /** [rows, tokens, hidden] */
  get output(): Pointer {
    return this.#device + BigInt(this.#inputBytes)
  }

  /** Brings a batch's inputs to the device. Throws `RangeError` for one of more tokens than there is room for. */
  write({ pastLengths, tokens, input }: RowBatch): void {
    const count = pastLengths.length * tokens
    if (count > this.#maxTokens)
      throw new RangeError(`a step of ${count} tokens is larger than the ${this.#maxTokens} that were declared`)
    const { bytes } = this.#staging
    const { buffer, byteOffset } = bytes
    new Int32Array(buffer, byteOffset, pastLengths.length).set(pastLengths.map((past) => past + tokens - 1))
    const positions = new BigInt64Array(buffer, byteOffset + this.#positionsOffset, count)
    for (let i = 0; i < count; i++) positions[i] = BigInt(pastLengths[Math.floor(i / tokens)]! + (i % tokens))
    bytes.set(input, this.#hiddenOffset)
    this.#staging.write(this.#device, this.#hiddenOffset + count * this.#hiddenBytes)
  }

  read(output: Uint8Array): void {
    this.#staging.read(this.output, output.byteLength)
    output.set(this.#staging.bytes.subarray(0, output.byteLength))
  }

  release(): void {
    this.#staging.release()
    this.#heap.free(this.#device)
  }
}

function aligned(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT
}
