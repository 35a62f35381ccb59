import type { OnnxRuntime } from './library.ts'
import { webGpuProcess } from './webgpu/process-state.ts'

/** States of a turn. */
const FREE = 0
const TAKEN = 1
const WAITED_FOR = 2

/** How long a thread that had others waiting stays away, so that it does not take every turn. */
const COURTESY_MS = 0.1

/**
 * Turns on something of which a process has one and on which nothing may overlap, whatever the thread. A thread that
 * has the turn may take it again.
 */
export class Turns {
  readonly #state: Int32Array<SharedArrayBuffer>
  readonly #pause = new Int32Array(new SharedArrayBuffer(4))
  #depth = 0

  /** `state`: one number that all threads share, 0 at first. */
  constructor(state: Int32Array<SharedArrayBuffer>) {
    this.#state = state
  }

  /** Does it while no other thread has a turn; waits for that. */
  take<T>(work: () => T): T {
    if (this.#depth === 0) this.#acquire()
    this.#depth++
    try {
      return work()
    } finally {
      this.#depth--
      if (this.#depth === 0) this.#release()
    }
  }

  #acquire(): void {
    if (Atomics.compareExchange(this.#state, 0, FREE, TAKEN) === FREE) return
    while (Atomics.exchange(this.#state, 0, WAITED_FOR) !== FREE) Atomics.wait(this.#state, 0, WAITED_FOR)
  }

  #release(): void {
    if (Atomics.exchange(this.#state, 0, FREE) !== WAITED_FOR) return
    Atomics.notify(this.#state, 0, 1)
    Atomics.wait(this.#pause, 0, 0, COURTESY_MS)
  }
}

/** The calling thread's turns on the process's GPU. */
export const deviceTurns = new Turns(webGpuProcess.turn)

/**
 * The library with every call in a turn of its own. All sessions on WebGPU share one recorder of commands: runs,
 * bindings, copies, allocations, the making and the releasing of sessions crash the process where two of them overlap,
 * whatever their threads. And while a run is recorded on CUDA, no other thread may allocate or copy.
 */
export function inTurns(ort: OnnxRuntime, turns = deviceTurns): OnnxRuntime {
  return {
    ...ort,
    call: (name, ...args) => turns.take(() => ort.call(name, ...args)),
    create: (name, ...args) => turns.take(() => ort.create(name, ...args)),
    release: (name, handle) => turns.take(() => ort.release(name, handle)),
  }
}
