import { CPU } from '../../runtime/device.ts'
import type { Environment } from '../../runtime/environment.ts'
import { memoryInfo } from '../../runtime/values.ts'
import type { Pointer } from '../../runtime/library.ts'
import { runBound } from '../../runtime/run.ts'
import { TensorScope } from '../../runtime/tensor-scope.ts'
import type { EndsOutput } from '../loading/ends-output.ts'

/** Sessions of both ends of a model, valid in every thread. */
export interface LoadedEnds {
  readonly embed: Pointer
  readonly head: Pointer
  readonly hiddenSize: number
  readonly output: EndsOutput
  /** Width of what `head` gives. */
  readonly outputSize: number
}

/** Runs embedding and head, synchronously. */
export interface EndsRunner {
  /** Token ids -> hidden states [tokens, hidden]. */
  embed(ids: BigInt64Array): Float32Array
  /**
   * Hidden states [tokens, hidden] -> logits [tokens, vocab], or without a head hidden states after the last norm.
   * Where `into` is given they are written into it, and it is returned.
   */
  head(hidden: Float32Array, into?: Float32Array): Float32Array
  close(): void
}

/** On the CPU in float32. */
export class CpuEndsRunner implements EndsRunner {
  readonly #env: Environment
  readonly #ends: LoadedEnds
  readonly #cpu: Pointer
  readonly #runOptions: Pointer

  constructor(env: Environment, ends: LoadedEnds) {
    this.#env = env
    this.#ends = ends
    this.#cpu = memoryInfo(env.ort, CPU)
    this.#runOptions = env.ort.create('CreateRunOptions')
  }

  embed(ids: BigInt64Array): Float32Array {
    const { embed, hiddenSize } = this.#ends
    const output = new Float32Array(ids.length * hiddenSize)
    using scope = new TensorScope(this.#env.ort)
    runBound(
      this.#env.ort,
      embed,
      this.#runOptions,
      [['ids', scope.wrap(this.#cpu, 'int64', [1, ids.length], ids)]],
      [['output', scope.wrap(this.#cpu, 'float32', [1, ids.length, hiddenSize], output)]],
    )
    return output
  }

  head(hidden: Float32Array, into?: Float32Array): Float32Array {
    const { head, hiddenSize, output, outputSize } = this.#ends
    const tokens = hidden.length / hiddenSize
    const values = into ?? new Float32Array(tokens * outputSize)
    using scope = new TensorScope(this.#env.ort)
    runBound(
      this.#env.ort,
      head,
      this.#runOptions,
      [['hidden', scope.wrap(this.#cpu, 'float32', [tokens, hiddenSize], hidden)]],
      [[output === 'logits' ? 'logits' : 'output', scope.wrap(this.#cpu, 'float32', [tokens, outputSize], values)]],
    )
    return values
  }

  close(): void {
    this.#env.ort.release('ReleaseRunOptions', this.#runOptions)
    this.#env.ort.release('ReleaseMemoryInfo', this.#cpu)
  }
}
