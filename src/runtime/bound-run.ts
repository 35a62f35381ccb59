import type { OnnxRuntime, Pointer } from './library.ts'
import type { Bound } from './run.ts'
import type { TensorScope } from './tensor-scope.ts'

/** A session with its inputs and outputs bound to fixed addresses, which can be run any number of times. */
export class BoundRun implements Disposable {
  readonly #ort: OnnxRuntime
  readonly #session: Pointer
  readonly #scope: TensorScope
  readonly #binding: Pointer
  readonly #options: Pointer

  /** Takes over `scope`, which holds the bound values. With `graphId` the first run records a CUDA graph of that id. */
  constructor(
    ort: OnnxRuntime,
    session: Pointer,
    scope: TensorScope,
    inputs: readonly Bound[],
    outputs: readonly Bound[],
    graphId?: number,
  ) {
    this.#ort = ort
    this.#session = session
    this.#scope = scope
    this.#options = ort.create('CreateRunOptions')
    this.#binding = ort.create('CreateIoBinding', session)
    try {
      if (graphId !== undefined) ort.call('AddRunConfigEntry', this.#options, 'gpu_graph_id', String(graphId))
      for (const [name, value] of inputs) ort.call('BindInput', this.#binding, name, value)
      for (const [name, value] of outputs) ort.call('BindOutput', this.#binding, name, value)
    } catch (error) {
      this[Symbol.dispose]()
      throw error
    }
  }

  /** Runs the session once; synchronous. Throws `RuntimeError`. */
  run(): void {
    this.#ort.call('RunWithBinding', this.#session, this.#options, this.#binding)
  }

  [Symbol.dispose](): void {
    this.#ort.release('ReleaseIoBinding', this.#binding)
    this.#ort.release('ReleaseRunOptions', this.#options)
    this.#scope[Symbol.dispose]()
  }
}
