import { UsageError } from '../../base/errors.ts'
import { inPieces } from '../../base/pace.ts'
import { type Tensor, fromFloat32, numElements } from '../../tensor/tensor.ts'
import { copyOf } from './arithmetic.ts'

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

/** A copy of the values, made in pieces. */
export async function valuesNow({ values, shape }: Pick<Parameter, 'values' | 'shape'>): Promise<Tensor> {
  return fromFloat32(await copyOf(values), shape)
}

/** Sets all gradients to zero, in pieces. */
export async function zeroGradients(parameters: readonly Parameter[]): Promise<void> {
  for (const { gradient } of parameters)
    await inPieces(gradient.length, (from, until) => void gradient.fill(0, from, until))
}
