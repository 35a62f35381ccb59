import { errorCode, errorMessage } from '../../base/errors.ts'
import type { BoundRun } from '../../runtime/bound-run.ts'
import type { Device } from '../../runtime/device.ts'
import type { OnnxRuntime, Pointer } from '../../runtime/library.ts'

/** A run that may be recorded: as a graph of a number that no other has, or as it is. */
export interface RecordableRun {
  readonly session: Pointer
  /** Names what is recorded with it: addresses and shapes. */
  readonly kind: string
  bind(graphId: number): BoundRun
  /** As every other run. */
  runOnce(): void
  /** The same where recording has been refused: what the session was doing then it may never end. */
  runAfresh(): void
}

interface Recording {
  readonly session: Pointer
  readonly graphId: number
  readonly run: BoundRun
  usedAt: number
}

/**
 * A kind of runs is recorded at its second: the first shows that it works, and lets kernels choose how they compute.
 */
const RUNS_BEFORE = 1

/** So many kinds that have not been recorded are remembered. */
const MAX_SEEN = 256

/** A recording that was used within so many runs makes no room for another: else each would push out the next. */
const PATIENCE = 256

/**
 * The runs of a device that are recorded as CUDA graphs and replayed. Each takes memory, and to record one takes
 * several runs: so there are at most so many, over all sessions, and only of kinds that come again. Where recording is
 * refused once, nothing is recorded any more, with one warning. Belongs to the thread that runs.
 */
export class Recordings {
  readonly #ort: Pick<OnnxRuntime, 'call'>
  readonly #device: Device
  readonly #most: number
  readonly #recorded = new Map<string, Recording>()
  readonly #seen = new Map<string, number>()
  #nextGraphId = 1
  #runs = 0
  #isRefused = false

  constructor(ort: Pick<OnnxRuntime, 'call'>, device: Device, most: number) {
    this.#ort = ort
    this.#device = device
    this.#most = most
  }

  get size(): number {
    return this.#recorded.size
  }

  /** Whether recording has been refused. */
  get isRefused(): boolean {
    return this.#isRefused
  }

  /** Replays the run, records it, or runs it once. Throws `RuntimeError`. */
  run(wanted: RecordableRun): void {
    this.#runs++
    const key = `${wanted.session}:${wanted.kind}`
    const known = this.#recorded.get(key)
    if (known !== undefined) this.#replay(key, known)
    else if (this.#isRefused || !this.#comesAgain(key) || !this.#makeRoom()) wanted.runOnce()
    else this.#record(key, wanted)
  }

  /** For good, with one warning: what is computed is right, and slower. */
  refuse(error: unknown): void {
    if (!this.#isRefused) this.#warn(error)
    this.#isRefused = true
  }

  /** The session goes, and with it what was recorded of it. */
  forget(session: Pointer): void {
    for (const [key, recording] of this.#recorded) if (recording.session === session) this.#remove(key)
  }

  #replay(key: string, recording: Recording): void {
    recording.usedAt = this.#runs
    try {
      recording.run.run()
    } catch (error) {
      this.#remove(key)
      throw error
    }
  }

  #record(key: string, { session, bind, runAfresh }: RecordableRun): void {
    const graphId = this.#nextGraphId++
    const run = bind(graphId)
    try {
      run.run()
      this.#recorded.set(key, { session, graphId, run, usedAt: this.#runs })
    } catch (error) {
      run[Symbol.dispose]()
      if (!isRefusal(error)) throw error
      this.#without(error, runAfresh)
    }
  }

  /** Where the run fails without being recorded, too, it was not recording that was refused. */
  #without(error: unknown, runAfresh: () => void): void {
    this.#isRefused = true
    try {
      runAfresh()
    } catch (again) {
      this.#isRefused = false
      throw again
    }
    this.#warn(error)
  }

  #warn(error: unknown): void {
    process.emitWarning(`decode steps cannot be recorded on this GPU and are slower for it: ${errorMessage(error)}`)
  }

  #comesAgain(key: string): boolean {
    const before = this.#seen.get(key) ?? 0
    this.#seen.delete(key)
    if (before >= RUNS_BEFORE) return true
    this.#seen.set(key, before + 1)
    const [oldest] = this.#seen.keys()
    if (this.#seen.size > MAX_SEEN) this.#seen.delete(oldest!)
    return false
  }

  #makeRoom(): boolean {
    if (this.#recorded.size < this.#most) return true
    const [oldest] = [...this.#recorded].toSorted(([, a], [, b]) => a.usedAt - b.usedAt) as [[string, Recording]]
    if (this.#runs - oldest[1].usedAt <= PATIENCE) return false
    this.#remove(oldest[0])
    return true
  }

  #remove(key: string): void {
    const { session, graphId, run } = this.#recorded.get(key)!
    this.#recorded.delete(key)
    run[Symbol.dispose]()
    if (this.#device.kind !== 'cuda') return
    try {
      this.#ort.call('SessionReleaseCapturedGraph', session, graphId)
    } catch {
      // It goes with its session then; the step that needed the room is not to fail for it.
    }
  }
}

/** Whether it is not the device that failed, nor its memory, but what it was asked to do. */
export function isRefusal(error: unknown): boolean {
  const code = errorCode(error)
  return code === 'RUNTIME' || code === 'RUNTIME_KERNEL'
}
