import { startWorker } from '../../base/thread/start-worker.ts'
import { readTensor } from '../../checkpoint/weights/read.ts'
import type { TensorSlice } from '../../checkpoint/weights/safetensors.ts'
import type { Pointer } from '../../runtime/library.ts'
import { type FloatDType, dtypeSize } from '../../tensor/dtype.ts'
import { numElements } from '../../tensor/tensor.ts'
import { type SyncChannel, type SyncReceiver, createSyncChannel, postSync } from '../../base/thread/sync-channel.ts'

/** One tensor that two threads read and convert, each whatever piece comes next. */
export interface ReadJob {
  readonly slice: TensorSlice
  readonly dtype: FloatDType
  /** Where its bytes go in this process's memory. */
  readonly address: Pointer
  readonly byteLength: number
  /** Two int32: the next piece that nobody has taken, and how far the helper is. */
  readonly state: SharedArrayBuffer
}

/** What the helper's thread is told, and its word that it has left its loop. */
export interface ReadWorkerData {
  readonly receiver: SyncReceiver
  readonly left: SharedArrayBuffer
}

/** Ends the helper. */
export const END = 'end'

/** Half a millisecond: what the one thread may have to wait for the other in the end. */
const PIECE_BYTES = 1 << 20

/** Less is read before the helper has woken up. */
const MIN_BYTES = 4 * PIECE_BYTES

const NEXT = 0
const HELPER = 1
const [ASLEEP, AT_WORK, DONE, FAILED, TOO_LATE] = [0, 1, 2, 3, 4]

/** Longer than a thread takes to start. */
const END_TIMEOUT_MS = 10_000

/** What the helper's owner has of its thread. */
interface HelperThread {
  readonly channel: SyncChannel
  readonly left: SharedArrayBuffer
}

/**
 * A second thread for reading weights, started at the first tensor that is worth it. What it does not get to, its owner
 * does: it is never waited for but in mid-piece.
 */
export class ReadHelper {
  #thread: HelperThread | undefined

  /** Reads a tensor into `data`, which lies at `address`. Synchronous. Throws as `readTensor`. */
  read(slice: TensorSlice, dtype: FloatDType, data: Uint8Array, address: Pointer): void {
    if (slice.byteLength < MIN_BYTES) {
      readTensor(slice, dtype, () => data)
      return
    }
    const job = { slice, dtype, address, byteLength: data.byteLength, state: new SharedArrayBuffer(8) }
    this.#thread ??= startThread()
    postSync(this.#thread.channel, job)
    readPieces(job, data)
    const state = new Int32Array(job.state)
    Atomics.compareExchange(state, HELPER, ASLEEP!, TOO_LATE!)
    Atomics.wait(state, HELPER, AT_WORK!)
    // Its pieces are missing; what went wrong there is told here.
    if (Atomics.load(state, HELPER) === FAILED) readTensor(slice, dtype, () => data)
  }

  /**
   * Waits until it ends by itself: a thread that is terminated while it still loads a native module aborts the process.
   */
  end(): void {
    if (this.#thread === undefined) return
    const { channel, left } = this.#thread
    this.#thread = undefined
    postSync(channel, END)
    Atomics.wait(new Int32Array(left), 0, 0, END_TIMEOUT_MS)
    channel.port.close()
  }
}

function startThread(): HelperThread {
  const channel = createSyncChannel()
  const { receiver } = channel
  const left = new SharedArrayBuffer(4)
  const workerData: ReadWorkerData = { receiver, left }
  const worker = startWorker(import.meta.url, 'read-worker', { workerData, transferList: [receiver.port] })
  // Without it loading is slower, no more.
  worker.on('error', () => undefined)
  return { channel, left }
}

/** The helper's side of a job. */
export function helpReading(job: ReadJob, dataOf: (job: ReadJob) => Uint8Array): void {
  const state = new Int32Array(job.state)
  if (Atomics.compareExchange(state, HELPER, ASLEEP!, AT_WORK!) !== ASLEEP) return
  let end = FAILED
  try {
    readPieces(job, dataOf(job))
    end = DONE
  } catch {
    // The other thread finds out, too.
  }
  Atomics.store(state, HELPER, end!)
  Atomics.notify(state, HELPER)
}

function readPieces({ slice, dtype, state }: ReadJob, data: Uint8Array): void {
  const size = slice.byteLength / numElements(slice.shape)
  const ratio = dtypeSize(dtype) / size
  const next = new Int32Array(state)
  for (;;) {
    const start = Atomics.add(next, NEXT, 1) * PIECE_BYTES
    if (start >= slice.byteLength) return
    const byteLength = Math.min(PIECE_BYTES, slice.byteLength - start)
    const piece = { ...slice, offset: slice.offset + start, byteLength, shape: [byteLength / size] }
    readTensor(piece, dtype, () => data.subarray(start * ratio, (start + byteLength) * ratio))
  }
}
