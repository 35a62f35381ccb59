import type { DType } from '../tensor/dtype.ts'
import { wrapTensor } from './values.ts'
import type { OnnxRuntime, Pointer } from './library.ts'

/**
 * The OrtValues of one run, which are released together. It also keeps the memory behind them alive: the library does
 * not, and a typed array that is garbage-collected during a run gives random results.
 */
export class TensorScope implements Disposable {
  readonly #ort: OnnxRuntime
  readonly #held: { value: Pointer; data: Pointer | ArrayBufferView }[] = []

  constructor(ort: OnnxRuntime) {
    this.#ort = ort
  }

  wrap(memory: Pointer, dtype: DType, shape: readonly number[], data: Pointer | ArrayBufferView): Pointer {
    const value = wrapTensor(this.#ort, memory, dtype, shape, data)
    this.#held.push({ value, data })
    return value
  }

  [Symbol.dispose](): void {
    for (const { value } of this.#held.splice(0)) this.#ort.release('ReleaseValue', value)
  }
}
