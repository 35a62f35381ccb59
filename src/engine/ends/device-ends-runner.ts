import { Owned } from '../../base/owned.ts'
import { type Graph } from '../../graph/builder.ts'
import { encodeModel } from '../../graph/encode.ts'
import type { Device } from '../../runtime/device.ts'
import type { Environment } from '../../runtime/environment.ts'
import { memoryInfo } from '../../runtime/values.ts'
import type { Pointer } from '../../runtime/library.ts'
import type { PieceHeap } from '../../runtime/memory.ts'
import { threadRuntime } from '../../runtime/thread-runtime.ts'
import { runBound } from '../../runtime/run.ts'
import { createResidentSession } from '../../runtime/session.ts'
import { TensorScope } from '../../runtime/tensor-scope.ts'
import { convert } from '../../tensor/convert.ts'
import { type FloatDType, dtypeSize } from '../../tensor/dtype.ts'
import { asFloat32, fromFloat32 } from '../../tensor/tensor.ts'
import type { ResidentBlock } from '../loading/resident.ts'
import type { EndsRunner } from './ends-runner.ts'
import type { EndsOutput } from '../loading/ends-output.ts'

/** An end's graph with its weights in the device's memory. */
export interface ResidentEnd {
  readonly graph: Graph
  readonly weights: ResidentBlock
}

export interface DeviceEnds {
  readonly device: Device
  readonly dtype: FloatDType
  readonly embed: ResidentEnd
  readonly head: ResidentEnd
  readonly hiddenSize: number
  readonly output: EndsOutput
  readonly outputSize: number
}

/** Rows of one run: logits of many are large, and what has more comes in several runs. */
export const MAX_ROWS = 64

/** For intermediate results: far above what so many rows take. */
const WORKSPACE_BYTES = 1024 ** 3

/**
 * Runs embedding and head in a device's memory; ids, hidden states and logits are copied to and fro. The same on a CPU,
 * where it is tested. The weights stay the caller's.
 */
export class DeviceEndsRunner implements EndsRunner {
  readonly #env: Environment
  readonly #ends: DeviceEnds
  readonly #heap: PieceHeap
  readonly #memory: Pointer
  readonly #runOptions: Pointer
  readonly #embed: Pointer
  readonly #head: Pointer
  /** int64 [MAX_ROWS], or hidden states [MAX_ROWS, hidden]. */
  readonly #input: Pointer
  readonly #output: Pointer

  /** Throws `RuntimeError`; nothing is left behind then. */
  constructor(env: Environment, ends: DeviceEnds) {
    const { device, dtype, hiddenSize, outputSize } = ends
    using undo = new Owned()
    const { ort } = env
    this.#env = env
    this.#ends = ends
    this.#heap = threadRuntime.pieces(device)
    const session = ({ graph, weights }: ResidentEnd): Pointer =>
      undo.adopt(
        createResidentSession(env, device, encodeModel(graph, weights.inline), weights.weights, {
          cudaGraphs: false,
          workspaceBytes: WORKSPACE_BYTES,
        }),
        (pointer) => ort.release('ReleaseSession', pointer),
      )
    this.#embed = session(ends.embed)
    this.#head = session(ends.head)
    const allocate = (bytes: number): Pointer =>
      undo.adopt(this.#heap.allocate(bytes), (address) => this.#heap.free(address))
    this.#input = allocate(MAX_ROWS * Math.max(BigInt64Array.BYTES_PER_ELEMENT, hiddenSize * dtypeSize(dtype)))
    this.#output = allocate(MAX_ROWS * Math.max(hiddenSize, outputSize) * Float32Array.BYTES_PER_ELEMENT)
    this.#memory = undo.adopt(memoryInfo(ort, device), (memory) => ort.release('ReleaseMemoryInfo', memory))
    this.#runOptions = undo.adopt(ort.create('CreateRunOptions'), (options) =>
      ort.release('ReleaseRunOptions', options),
    )
    this.#owned = undo.move()
  }

  readonly #owned: Owned

  embed(ids: BigInt64Array): Float32Array {
    const { dtype, hiddenSize } = this.#ends
    const hidden = new Float32Array(ids.length * hiddenSize)
    for (let at = 0; at < ids.length; at += MAX_ROWS) {
      const rows = ids.subarray(at, at + MAX_ROWS)
      this.#heap.write(this.#input, bytesOf(rows))
      using scope = new TensorScope(this.#env.ort)
      const shape = [1, rows.length, hiddenSize]
      runBound(
        this.#env.ort,
        this.#embed,
        this.#runOptions,
        [['ids', scope.wrap(this.#memory, 'int64', [1, rows.length], this.#input)]],
        [['output', scope.wrap(this.#memory, dtype, shape, this.#output)]],
      )
      const data = new Uint8Array(rows.length * hiddenSize * dtypeSize(dtype))
      this.#heap.read(this.#output, data)
      hidden.set(asFloat32(convert({ dtype, shape, data }, 'float32')), at * hiddenSize)
    }
    return hidden
  }

  head(hidden: Float32Array, into?: Float32Array): Float32Array {
    const { dtype, hiddenSize, output, outputSize } = this.#ends
    const tokens = hidden.length / hiddenSize
    const values = into ?? new Float32Array(tokens * outputSize)
    for (let at = 0; at < tokens; at += MAX_ROWS) {
      const count = Math.min(MAX_ROWS, tokens - at)
      const shape = [count, hiddenSize]
      const rows = fromFloat32(hidden.subarray(at * hiddenSize, (at + count) * hiddenSize), shape)
      this.#heap.write(this.#input, convert(rows, dtype).data)
      using scope = new TensorScope(this.#env.ort)
      runBound(
        this.#env.ort,
        this.#head,
        this.#runOptions,
        [['hidden', scope.wrap(this.#memory, dtype, shape, this.#input)]],
        [
          [
            output === 'logits' ? 'logits' : 'output',
            scope.wrap(this.#memory, 'float32', [count, outputSize], this.#output),
          ],
        ],
      )
      this.#heap.read(this.#output, bytesOf(values.subarray(at * outputSize, (at + count) * outputSize)))
    }
    return values
  }

  close(): void {
    this.#owned.dispose()
  }
}

function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength)
}
