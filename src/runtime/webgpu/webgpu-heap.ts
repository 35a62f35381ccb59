import { RuntimeError } from '../errors.ts'
import type { BufferHeap } from '../memory.ts'
import type { OnnxRuntime, Pointer } from '../library.ts'
import { TensorScope } from '../tensor-scope.ts'
import type { WebGpuHandles, WebGpuProcess } from './process-state.ts'
import type { Turns } from '../device-turns.ts'

/** What is written to each new buffer and must come back: lack of memory gives no error, but a buffer that is none. */
const PROBE = Uint8Array.from({ length: 16 }, (_, i) => 0xa5 ^ (i * 7 + 1))
const NO_PROBE = PROBE.map((byte) => byte ^ 0xff)

/** Buffers are whole numbers of these. */
const UNIT_BYTES = 16

/**
 * WebGPU's memory: whole buffers, each with a handle, which is no address. A buffer is copied from its beginning; the
 * device checks nothing of that, so it is checked here. Every call is a turn on the device.
 */
export class WebGpuHeap implements BufferHeap {
  readonly #ort: OnnxRuntime
  readonly #memory: Pointer
  readonly #host: Pointer
  readonly #handles: WebGpuHandles
  readonly #turns: Turns
  readonly #process: WebGpuProcess
  /** Of buffers that this thread has allocated. */
  readonly #sizes = new Map<Pointer, number>()
  /** Its content is known. */
  #witness: Pointer | undefined

  /** `memory` and `host` describe both memories to the library, for as long as the heap is in use. */
  constructor(
    ort: OnnxRuntime,
    memories: { readonly device: Pointer; readonly host: Pointer },
    { handles, turns, process }: { handles: WebGpuHandles; turns: Turns; process: WebGpuProcess },
  ) {
    this.#ort = ort
    this.#memory = memories.device
    this.#host = memories.host
    this.#handles = handles
    this.#turns = turns
    this.#process = process
  }

  allocate(bytes: number): Pointer {
    const size = wholeUnits(bytes)
    return this.#turns.take(() => {
      const buffer = this.#allocate(size)
      try {
        if (this.#isReal(buffer)) return buffer
        throw this.#noRoom(size)
      } catch (error) {
        this.free(buffer)
        throw error
      }
    })
  }

  adopt(buffer: Pointer, bytes: number): void {
    this.#sizes.set(buffer, wholeUnits(bytes))
  }

  free(buffer: Pointer): void {
    const bytes = this.#sizeOf(buffer)
    this.#sizes.delete(buffer)
    this.#process.countAllocated(-bytes)
    this.#ort.call('AllocatorFree', this.#handles.allocator, buffer)
  }

  write(to: Pointer, bytes: Uint8Array): void {
    this.writeAll([[to, bytes]])
  }

  writeAll(copies: readonly (readonly [to: Pointer, bytes: Uint8Array])[]): void {
    for (const [to, bytes] of copies) this.#check(to, bytes.byteLength)
    this.#copy(copies.map(([to, bytes]) => ({ from: bytes, to, bytes: bytes.byteLength })))
  }

  read(from: Pointer, into: Uint8Array): void {
    this.#check(from, into.byteLength)
    this.#copy([{ from, to: into, bytes: into.byteLength }])
  }

  copyBuffer(from: Pointer, to: Pointer, bytes: number): void {
    // The library ends the process.
    if (from === to) throw new RangeError('a buffer cannot be copied to itself')
    for (const buffer of [from, to]) this.#check(buffer, bytes)
    this.#copy([{ from, to, bytes }])
  }

  #allocate(bytes: number): Pointer {
    let buffer: Pointer
    try {
      buffer = this.#ort.create('AllocatorAlloc', this.#handles.allocator, bytes)
    } catch (error) {
      throw this.#noRoom(bytes, error)
    }
    this.adopt(buffer, bytes)
    this.#process.countAllocated(bytes)
    return buffer
  }

  /**
   * Whether a new buffer holds what is written to it. It is copied to one that does: what is read of none is whatever
   * lies where it should have come to, which may be what was written just before.
   */
  #isReal(buffer: Pointer): boolean {
    this.#witness ??= this.#makeWitness()
    const found = new Uint8Array(PROBE.length)
    this.write(this.#witness, NO_PROBE)
    this.write(buffer, PROBE)
    this.copyBuffer(buffer, this.#witness, PROBE.length)
    // A copy of no buffer spoils all that is recorded with it, which the first reading ends.
    this.read(this.#witness, found)
    this.read(this.#witness, found)
    return found.every((byte, i) => byte === PROBE[i])
  }

  /** It stays for as long as the thread, and counts for nobody. */
  #makeWitness(): Pointer {
    const buffer = this.#allocate(PROBE.length)
    this.#process.countAllocated(-PROBE.length)
    return buffer
  }

  #copy(copies: readonly { from: Pointer | Uint8Array; to: Pointer | Uint8Array; bytes: number }[]): void {
    const wanted = copies.filter(({ bytes }) => bytes > 0)
    if (wanted.length === 0) return
    using scope = new TensorScope(this.#ort)
    const wrap = (place: Pointer | Uint8Array, bytes: number): Pointer =>
      scope.wrap(typeof place === 'bigint' ? this.#memory : this.#host, 'uint8', [bytes], place)
    const from = BigUint64Array.from(wanted, (copy) => wrap(copy.from, copy.bytes))
    const to = BigUint64Array.from(wanted, (copy) => wrap(copy.to, copy.bytes))
    this.#ort.call('CopyTensors', this.#handles.environment, from, to, null, wanted.length)
  }

  /** The device overwrites what lies behind a buffer that is too small, and says nothing. */
  #check(buffer: Pointer, bytes: number): void {
    const size = this.#sizeOf(buffer)
    if (bytes > size) throw new RangeError(`a copy of ${bytes} bytes does not fit into a buffer of ${size}`)
  }

  #sizeOf(buffer: Pointer): number {
    const size = this.#sizes.get(buffer)
    if (size === undefined) throw new RangeError('a buffer that is not of this heap')
    return size
  }

  #noRoom(bytes: number, cause?: unknown): RuntimeError {
    const wanted = Math.ceil(bytes / 2 ** 20)
    const held = Math.ceil(this.#process.allocatedBytes / 2 ** 20)
    return new RuntimeError(
      'RUNTIME_MEMORY',
      `the WebGPU device has no room for ${wanted} MB more, beside the ${held} MB that this process holds there; ` +
        'serve fewer blocks or a smaller --attn-cache-tokens',
      { cause },
    )
  }
}

function wholeUnits(bytes: number): number {
  return Math.max(1, Math.ceil(bytes / UNIT_BYTES)) * UNIT_BYTES
}
