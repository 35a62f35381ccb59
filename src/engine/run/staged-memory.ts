import type { Pointer } from '../../runtime/library.ts'
import type { DeviceHeap, Staging } from '../../runtime/memory.ts'

/** Memory of a device at a fixed address, and the memory here through which it is written and read. */
export class StagedMemory {
  readonly device: Pointer
  readonly #heap: DeviceHeap
  readonly #staging: Staging

  /** `stagedBytes`: the most that is written, or read, at once. Throws `RUNTIME_MEMORY`. */
  constructor(heap: DeviceHeap, deviceBytes: number, stagedBytes = deviceBytes) {
    this.#heap = heap
    this.device = heap.allocate(deviceBytes)
    this.#staging = heap.staging(stagedBytes)
  }

  /** What is put together here for `write`, and where `read` leaves what it has read. */
  get bytes(): Uint8Array {
    return this.#staging.bytes
  }

  /** Copies the first `byteLength` of `bytes` to the beginning of the device's memory, where no run is under way. */
  write(byteLength: number): void {
    this.#staging.write(this.device, byteLength)
  }

  /** Copies `byteLength` bytes from a place on the device, after a run that has returned. */
  read(from: Pointer, byteLength: number): Uint8Array {
    this.#staging.read(from, byteLength)
    return this.#staging.bytes.subarray(0, byteLength)
  }

  release(): void {
    this.#staging.release()
    this.#heap.free(this.device)
  }
}
