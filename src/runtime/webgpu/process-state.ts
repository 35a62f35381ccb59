import { getEnvironmentData, setEnvironmentData } from 'node:worker_threads'

/** Where each part begins, in bytes. */
const TURN = 0
const HANDLES = 8
const ALLOCATED = 40
const BYTES = 48

/** Every thread of a process inherits what stands here from the thread that has started it. */
const KEY = 'petals-node: WebGPU'

/** What a process has opened: one of each, for all of its threads. 0: not yet. */
export interface WebGpuHandles {
  readonly environment: bigint
  /** The session whose creation has opened the adapter; it computes nothing. */
  readonly root: bigint
  readonly allocator: bigint
  /** The adapter's number. */
  readonly index: number
}

/**
 * What all threads of a process share of WebGPU: whose turn it is, what has been opened, and how much is allocated.
 * There is one device in a process, and nothing on it may overlap.
 */
export class WebGpuProcess {
  readonly turn: Int32Array<SharedArrayBuffer>
  readonly #handles: BigUint64Array<SharedArrayBuffer>
  readonly #allocated: BigInt64Array<SharedArrayBuffer>

  constructor(memory = new SharedArrayBuffer(BYTES)) {
    this.turn = new Int32Array(memory, TURN, 1)
    this.#handles = new BigUint64Array(memory, HANDLES, 4)
    this.#allocated = new BigInt64Array(memory, ALLOCATED, 1)
  }

  /** Undefined as long as nobody has opened anything. */
  get handles(): WebGpuHandles | undefined {
    const [environment = 0n, root = 0n, allocator = 0n, index = 0n] = this.#handles
    return root === 0n ? undefined : { environment, root, allocator, index: Number(index) }
  }

  /** To be set in a turn, once. */
  open({ environment, root, allocator, index }: WebGpuHandles): void {
    this.#handles.set([environment, root, allocator, BigInt(index)])
  }

  /** Bytes of all buffers that are allocated now, in all threads. */
  get allocatedBytes(): number {
    return Number(Atomics.load(this.#allocated, 0))
  }

  countAllocated(bytes: number): void {
    Atomics.add(this.#allocated, 0, BigInt(bytes))
  }
}

/** Of this process: made by its first thread, and found by all that it starts from then on. */
export const webGpuProcess: WebGpuProcess = inherit()

function inherit(): WebGpuProcess {
  const inherited = getEnvironmentData(KEY)
  if (inherited instanceof SharedArrayBuffer) return new WebGpuProcess(inherited)
  const memory = new SharedArrayBuffer(BYTES)
  setEnvironmentData(KEY, memory)
  return new WebGpuProcess(memory)
}
