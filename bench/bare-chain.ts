import { availableParallelism } from 'node:os'
import { Graph } from '../src/graph/builder.ts'
import { encodeModel } from '../src/graph/encode.ts'
import { linear } from '../src/graph/linear.ts'
import type { Value } from '../src/graph/value.ts'
import { CPU } from '../src/runtime/device.ts'
import { createEnvironment, type Environment } from '../src/runtime/environment.ts'
import { memoryInfo } from '../src/runtime/values.ts'
import type { Pointer } from '../src/runtime/library.ts'
import { type Bound, runBound } from '../src/runtime/run.ts'
import { createSession } from '../src/runtime/session.ts'
import { TensorScope } from '../src/runtime/tensor-scope.ts'
import type { DType } from '../src/tensor/dtype.ts'
import { byteLength } from '../src/tensor/tensor.ts'
import { seededRandom } from '../test/checkpoint/write.ts'
import { median } from './statistics.ts'

type Matrices = readonly (readonly [out: number, inner: number])[]

/** Blocks that consist of nothing but int4 matrix products, each of the latest result that has its width. */
export class BareChain implements Disposable {
  readonly #env: Environment
  readonly #cpu: Pointer
  readonly #runOptions: Pointer
  readonly #sessions: readonly Pointer[]
  readonly #scope: TensorScope
  readonly #inputs: readonly Bound[]
  readonly #outputs: readonly Bound[]

  constructor(matrices: Matrices, numBlocks: number) {
    this.#env = createEnvironment({ threads: availableParallelism(), spin: false })
    const { ort } = this.#env
    this.#cpu = memoryInfo(ort, CPU)
    this.#runOptions = ort.create('CreateRunOptions')
    this.#scope = new TensorScope(ort)
    const graph = chainGraph(matrices)
    // Each session packs a copy of its own.
    const initializers = graph.parameters.map(({ name, dtype, shape }) => ({
      name,
      prepacked: true,
      tensor: { dtype, shape, data: randomBytes(dtype, shape) },
    }))
    this.#sessions = Array.from(
      { length: numBlocks },
      () => createSession(this.#env, encodeModel(graph, new Map()), initializers).pointer,
    )
    const bind = ({ name, shape }: { name: string; shape: Value['shape'] }): Bound => {
      const width = Number(shape.at(-1))
      return [
        name,
        this.#scope.wrap(
          this.#cpu,
          'float32',
          [1, 1, width],
          Float32Array.from({ length: width }, () => random() - 0.5),
        ),
      ]
    }
    this.#inputs = graph.inputs.map(bind)
    this.#outputs = graph.outputs.map(({ name, value }) => bind({ name, shape: value.shape }))
  }

  /** Median over steps through all blocks. */
  blockMs(steps: number): number {
    const times = Array.from({ length: steps }, () => {
      const began = performance.now()
      for (const session of this.#sessions)
        runBound(this.#env.ort, session, this.#runOptions, this.#inputs, this.#outputs)
      return performance.now() - began
    })
    return median(times) / this.#sessions.length
  }

  [Symbol.dispose](): void {
    const { ort } = this.#env
    for (const session of this.#sessions) ort.release('ReleaseSession', session)
    this.#scope[Symbol.dispose]()
    ort.release('ReleaseRunOptions', this.#runOptions)
    ort.release('ReleaseMemoryInfo', this.#cpu)
  }
}

const random = seededRandom(2)

/** With weights that are all alike the kernels take a third less time. */
function randomBytes(dtype: DType, shape: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(byteLength(dtype, shape))
  if (dtype === 'uint8') return bytes.map(() => random() * 256)
  new Float32Array(bytes.buffer).forEach((_, i, scales) => {
    scales[i] = 0.01 * (random() - 0.5)
  })
  return bytes
}

function chainGraph(matrices: Matrices): Graph {
  const g = new Graph('chain')
  const [[, width]] = matrices as [readonly [number, number]]
  const values = [g.input('x', 'float32', ['rows', 'tokens', width])]
  const used = new Set<Value>()
  for (const [i, [out, inner]] of matrices.entries()) {
    const source = values.findLast(({ shape }) => shape.at(-1) === inner)!
    used.add(source)
    values.push(linear(g, { device: 'cpu', dtype: 'float32', quant: 'int4' }, source, `matrix${i}`, out))
  }
  for (const value of values) if (!used.has(value)) g.output(`${value.name}.out`, value)
  return g
}
