import type { DType } from '../tensor/dtype.ts'
import { wrapTensor } from './environment.ts'
import type { OnnxRuntime, Pointer } from './library.ts'

/**
 * The OrtValues of one run, released together. It also holds on to the memory behind them: the library does not, and a
 * typed array that is collected in mid-run gives random output.
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
