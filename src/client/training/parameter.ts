import { UsageError } from '../../base/errors.ts'
import { numElements } from '../../tensor/tensor.ts'

/** What is trained: values in row-major order, and the gradient of the loss with respect to them, summed so far. */
export interface Parameter {
  /** Unique among what is trained together; its values are stored under it. */
  readonly name: string
  readonly shape: readonly number[]
  readonly values: Float32Array
  readonly gradient: Float32Array
}

/** A parameter of zeros, or of `values`, which it takes over. Throws `USAGE` where these do not fit the shape. */
export function parameter(
  name: string,
  shape: readonly number[],
  values: Float32Array = new Float32Array(numElements(shape)),
): Parameter {
  if (values.length !== numElements(shape))
    throw new UsageError(`parameter ${name} [${shape}] takes ${numElements(shape)} values, not ${values.length}`)
  return { name, shape, values, gradient: new Float32Array(values.length) }
}

/** Sets all gradients to zero. */
export function zeroGradients(parameters: readonly Parameter[]): void {
  for (const { gradient } of parameters) gradient.fill(0)
}
