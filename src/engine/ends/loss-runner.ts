import { buildEmbeddingGradientGraph } from '../../families/graphs/embedding-gradient-graph.ts'
import { buildNormGraph } from '../../families/graphs/graphs.ts'
import { buildLossGraph } from '../../families/graphs/loss-graph.ts'
import { buildNormGradientGraph } from '../../families/graphs/norm-gradient-graph.ts'
import { HIDDEN_GRADIENT } from '../../graph/gradient-names.ts'
import { encodeWithoutWeights, type FinishedGraph } from '../../graph/encode.ts'
import { CPU } from '../../runtime/device.ts'
import type { Environment } from '../../runtime/environment.ts'
import { memoryInfo } from '../../runtime/values.ts'
import type { Pointer } from '../../runtime/library.ts'
import { type Bound, runBound } from '../../runtime/run.ts'
import { createSession } from '../../runtime/session.ts'
import { TensorScope } from '../../runtime/tensor-scope.ts'
import { type Tensor, asFloat32 } from '../../tensor/tensor.ts'
import { ParameterReader } from '../loading/parameter-reader.ts'
import { WeightMemory } from '../loading/weight-memory.ts'
import { slicesOf } from './end-slices.ts'
import type { EndsOptions } from './messages.ts'
import { HeadGradients } from './head-gradients.ts'
import { type HeadWeights, headTensors, headWeights } from './head-weights.ts'
import type { LossOptions, RowLosses } from './row-losses.ts'

/** What the logits of one run may take: a few values of this size exist at once. */
const LOGIT_BYTES = 64 * 1024 ** 2

/** Rows of one run, where the vocabulary is small. */
const MAX_ROWS = 512

interface LoadedGraph {
  readonly session: Pointer
  readonly weights: ReadonlyMap<string, Tensor>
}

/**
 * The parts of a model's ends that texts do not need: losses and their gradients, for training, and the last norm
 * alone; in float32 on the CPU, whatever the ends otherwise run on. A graph is loaded when it is first asked for.
 * Weights are lent to its runs: where the head is the embedding's table, it is the same memory.
 */
export class LossRunner {
  readonly #env: Environment
  readonly #options: EndsOptions
  readonly #tables: ReadonlyMap<string, Tensor>
  readonly #memory: Pointer
  readonly #runOptions: Pointer
  readonly #loaded = new Map<string, LoadedGraph>()
  /** What was read for all of them, by the parameters' names. */
  readonly #weights = new Map<string, Tensor>()

  /** `tables`: weights that are in memory already, in float32, by the parameters' names. */
  constructor(env: Environment, options: EndsOptions, tables: ReadonlyMap<string, Tensor>) {
    this.#env = env
    this.#options = options
    this.#tables = tables
    this.#memory = memoryInfo(env.ort, CPU)
    this.#runOptions = env.ort.create('CreateRunOptions')
  }

  /**
   * The cross entropy of each row, `hidden` [rows, hidden] being the last block's output, in runs of a bounded size;
   * gradients are those of the sum of weights * losses. Throws `CheckpointError` and `RuntimeError`.
   */
  losses(hidden: Float32Array, targets: Int32Array, weights: Float32Array, options: LossOptions): RowLosses {
    const { config } = this.#options.checkpoint
    const { hiddenSize, vocabSize } = config
    const { gradient: isHidden, head } = options
    const graph = this.#lossGraph(options)
    const given = head === undefined ? new Map<string, Tensor>() : headTensors(config, head.weights)
    const losses = new Float32Array(targets.length)
    const ofHidden = isHidden ? new Float32Array(hidden.length) : undefined
    const ofHead = head?.gradient === true ? new HeadGradients(given) : undefined
    const rows = Math.max(1, Math.min(MAX_ROWS, Math.floor(LOGIT_BYTES / (4 * vocabSize))))
    for (let from = 0; from < targets.length; from += rows) {
      const until = Math.min(targets.length, from + rows)
      const [states, count] = [[from * hiddenSize, until * hiddenSize] as const, until - from]
      const outputs: [string, readonly number[], Float32Array][] = [['losses', [count], losses.subarray(from, until)]]
      if (ofHidden !== undefined) outputs.push([HIDDEN_GRADIENT, [count, hiddenSize], ofHidden.subarray(...states)])
      this.#run(
        graph,
        [
          ['hidden', [count, hiddenSize], hidden.subarray(...states)],
          ['targets', [count], BigInt64Array.from(targets.subarray(from, until), BigInt)],
          ['weights', [count], weights.subarray(from, until)],
        ],
        [...outputs, ...(ofHead?.next() ?? [])],
        given,
      )
      ofHead?.add()
    }
    return {
      losses,
      ...(ofHidden !== undefined && { gradient: ofHidden }),
      ...(ofHead !== undefined && { head: headWeights(config, (name) => ofHead.of(name)) }),
    }
  }

  /** A copy of the head's parameters, in float32. Throws `CheckpointError`. */
  headWeights(): HeadWeights {
    const { config } = this.#options.checkpoint
    const { weights } = this.#lossGraph({ gradient: false })
    return headWeights(config, (name) => asFloat32(weights.get(name)!).slice())
  }

  /** Hidden states after the last norm: [rows, hidden] from `hidden` [rows, hidden], the last block's output. */
  norm(hidden: Float32Array): Float32Array {
    const { config } = this.#options.checkpoint
    const graph = this.#graph('norm', () => buildNormGraph(config, { device: 'cpu', dtype: 'float32' }))
    const shape = [hidden.length / config.hiddenSize, config.hiddenSize]
    const result = new Float32Array(hidden.length)
    this.#run(graph, [['hidden', shape, hidden]], [['output', shape, result]])
    return result
  }

  /**
   * From the gradient with respect to the last norm's output, that with respect to its input `hidden`: [rows, hidden].
   */
  normGradient(hidden: Float32Array, gradient: Float32Array): Float32Array {
    const { config } = this.#options.checkpoint
    const graph = this.#graph('norm gradient', () => buildNormGradientGraph(config))
    const shape = [hidden.length / config.hiddenSize, config.hiddenSize]
    const result = new Float32Array(hidden.length)
    this.#run(
      graph,
      [
        ['hidden', shape, hidden],
        ['output_gradient', shape, gradient],
      ],
      [['hidden_gradient', shape, result]],
    )
    return result
  }

  /** From the gradient of the first block's input, that of the table's rows: [tokens, hidden]. */
  embeddingGradient(ids: BigInt64Array, gradient: Float32Array): Float32Array {
    const { config } = this.#options.checkpoint
    const graph = this.#graph('embedding gradient', () => buildEmbeddingGradientGraph(config))
    const shape = [1, ids.length, config.hiddenSize]
    const result = new Float32Array(gradient.length)
    this.#run(
      graph,
      [
        ['ids', [1, ids.length], ids],
        ['output_gradient', shape, gradient],
      ],
      [['hidden_gradient', shape, result]],
    )
    return result
  }

  close(): void {
    for (const { session } of this.#loaded.values()) this.#env.ort.release('ReleaseSession', session)
    this.#loaded.clear()
    this.#env.ort.release('ReleaseRunOptions', this.#runOptions)
    this.#env.ort.release('ReleaseMemoryInfo', this.#memory)
  }

  #run(
    { session, weights }: LoadedGraph,
    inputs: readonly [string, readonly number[], Float32Array | BigInt64Array][],
    outputs: readonly [string, readonly number[], Float32Array][],
    given: ReadonlyMap<string, Tensor> = new Map(),
  ): void {
    using scope = new TensorScope(this.#env.ort)
    const bind = ([name, shape, data]: readonly [string, readonly number[], ArrayBufferView]): Bound => {
      const dtype = data instanceof BigInt64Array ? 'int64' : 'float32'
      return [name, scope.wrap(this.#memory, dtype, shape, data)]
    }
    const lent = [...weights, ...given].map(([name, { shape, data }]) => bind([name, shape, data]))
    runBound(this.#env.ort, session, this.#runOptions, [...inputs.map(bind), ...lent], outputs.map(bind))
  }

  /** That of the outputs that are wanted. A head that is given is not read. */
  #lossGraph({ gradient, head }: LossOptions): LoadedGraph {
    const { config } = this.#options.checkpoint
    const given = head === undefined ? [] : [...headTensors(config, head.weights).keys()]
    const headGradients = head?.gradient === true
    const name = JSON.stringify(['loss', gradient, headGradients, given])
    const build = (): FinishedGraph => buildLossGraph(config, { hiddenGradient: gradient, headGradients })
    return this.#graph(name, build, new Set(given))
  }

  #graph(name: string, build: () => FinishedGraph, given: ReadonlySet<string> = new Set()): LoadedGraph {
    const known = this.#loaded.get(name)
    if (known !== undefined) return known
    const graph = build()
    const weights = this.#read(graph, given)
    const { pointer } = createSession(this.#env, encodeWithoutWeights(graph), [])
    const loaded = { session: pointer, weights }
    this.#loaded.set(name, loaded)
    return loaded
  }

  #read(graph: FinishedGraph, given: ReadonlySet<string>): Map<string, Tensor> {
    const reader = new ParameterReader({ slices: slicesOf(graph, this.#options), memory: new WeightMemory() })
    return new Map(
      graph.parameters.flatMap((parameter) => {
        const { name } = parameter
        if (given.has(name)) return []
        const tensor = this.#tables.get(name) ?? this.#weights.get(name) ?? reader.read(parameter, { lent: false })
        this.#weights.set(name, tensor)
        return [[name, tensor]]
      }),
    )
  }
}
