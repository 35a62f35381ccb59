import { inPieces } from '../../../base/pace.ts'
import { multiply } from '../arithmetic.ts'
import type { Parameter } from '../parameter.ts'

/** What is added to the norm that gradients are divided by, which may be zero; as in torch. */
const EPS = 1e-6

/**
 * The norm of all gradients as one vector; gradients of a larger norm than `maxNorm` are scaled down to it (Pascanu et
 * al., "On the difficulty of training recurrent neural networks"), in pieces. NaN or infinity where a gradient has
 * such.
 */
export async function clipGradients(parameters: readonly Parameter[], maxNorm: number): Promise<number> {
  let squares = 0
  for (const { gradient } of parameters)
    await inPieces(gradient.length, (from, until) => {
      for (let i = from; i < until; i++) squares += gradient[i]! * gradient[i]!
    })
  const norm = Math.sqrt(squares)
  const factor = maxNorm / (norm + EPS)
  if (factor < 1) for (const { gradient } of parameters) await multiply(gradient, factor)
  return norm
}
