// Room tape/: what is computed here and by the swarm as one differentiable model.

import { Owned } from '../../../base/owned.ts'
import { UsageError } from '../../../base/errors.ts'
import { numElements } from '../../../tensor/tensor.ts'
import { addTo } from '../arithmetic.ts'
import type { Parameter } from '../parameter.ts'

/** A value on the tape, in row-major order. */
export interface Variable {
  readonly shape: readonly number[]
  readonly values: Float32Array
  /** Whether anything that is trained goes into it. */
  readonly isTrained: boolean
}

/**
 * From the gradient with respect to an operation's output, those with respect to its inputs, in their order; undefined
 * for those that are not trained.
 */
export type Backward = (
  gradient: Float32Array,
) => readonly (Float32Array | undefined)[] | Promise<readonly (Float32Array | undefined)[]>

interface Step {
  readonly output: Variable
  readonly inputs: readonly Variable[]
  readonly backward: Backward
}

/**
 * Records operations while they are computed and walks them back (reverse-mode differentiation; Griewank and Walther,
 * "Evaluating Derivatives"). Serves one forward and one backward pass. Operations may take their time: that of the
 * blocks asks the swarm.
 */
export class Tape implements Disposable {
  readonly #steps: Step[] = []
  readonly #parameters = new Map<Variable, Parameter>()
  readonly #held = new Owned()
  readonly #records: boolean

  /** `records`: false for a tape that is not walked back, on which nothing counts as trained. */
  constructor({ records = true }: { readonly records?: boolean } = {}) {
    this.#records = records
  }

  /** What is not trained. */
  constant(shape: readonly number[], values: Float32Array): Variable {
    return { shape, values, isTrained: false }
  }

  /** A parameter; `backward` adds to its gradient. */
  parameter(parameter: Parameter): Variable {
    const variable = { shape: parameter.shape, values: parameter.values, isTrained: this.#records }
    this.#parameters.set(variable, parameter)
    return variable
  }

  /** Gives something back when the tape is done with, walked back or not. */
  hold(held: Disposable): void {
    this.#held.use(held)
  }

  /** Forgets all. */
  [Symbol.dispose](): void {
    this.#steps.length = 0
    this.#held.dispose()
  }

  /** What an operation has made of `inputs`. */
  record(inputs: readonly Variable[], shape: readonly number[], values: Float32Array, backward: Backward): Variable {
    const isTrained = inputs.some((input) => input.isTrained)
    const output = { shape, values, isTrained }
    if (isTrained) this.#steps.push({ output, inputs, backward })
    return output
  }

  /**
   * Adds the gradient of `loss`, one value, times `scale` to the gradients of all parameters. May be called once.
   * Throws what operations throw, and `USAGE` for a loss of several values.
   */
  async backward(loss: Variable, scale = 1): Promise<void> {
    if (numElements(loss.shape) !== 1) throw new UsageError(`a loss [${loss.shape}]: expected one value`)
    const gradients = new Map<Variable, Float32Array>([[loss, Float32Array.of(scale)]])
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) {
      const gradient = gradients.get(step.output)
      if (gradient === undefined) continue
      gradients.delete(step.output)
      const found = await step.backward(gradient)
      for (const [i, input] of step.inputs.entries()) await this.#add(gradients, input, found[i])
    }
  }

  async #add(
    gradients: Map<Variable, Float32Array>,
    input: Variable,
    gradient: Float32Array | undefined,
  ): Promise<void> {
    if (!input.isTrained || gradient === undefined) return
    const sum = this.#parameters.get(input)?.gradient ?? gradients.get(input)
    if (sum === undefined) gradients.set(input, gradient)
    else await addTo(sum, gradient)
  }
}
