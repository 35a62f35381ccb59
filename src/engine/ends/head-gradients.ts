import { gradientName } from '../../graph/gradient-names.ts'
import type { Tensor } from '../../tensor/tensor.ts'

interface Sum {
  readonly name: string
  readonly shape: readonly number[]
  readonly total: Float32Array
  /** What the run under way gives, where it is not the first. */
  more?: Float32Array
}

/** The gradients of a head's parameters, summed over runs. */
export class HeadGradients {
  readonly #sums: readonly Sum[]
  #runs = 0

  /** `parameters`: by their names in graphs. */
  constructor(parameters: ReadonlyMap<string, Tensor>) {
    this.#sums = [...parameters].map(([name, { shape, data }]) => {
      return { name, shape, total: new Float32Array(data.byteLength / 4) }
    })
  }

  /** The outputs of the next run: names, shapes, and memory. The first run writes into the sums themselves. */
  next(): [string, readonly number[], Float32Array][] {
    return this.#sums.map((sum) => {
      const into = this.#runs === 0 ? sum.total : (sum.more ??= new Float32Array(sum.total.length))
      return [gradientName(sum.name), sum.shape, into]
    })
  }

  /** To be called when that run is over. */
  add(): void {
    if (this.#runs++ === 0) return
    for (const { total, more } of this.#sums) for (let i = 0; i < total.length; i++) total[i]! += more![i]!
  }

  /** Of one parameter. */
  of(name: string): Float32Array {
    return this.#sums.find((sum) => sum.name === name)!.total
  }
}
