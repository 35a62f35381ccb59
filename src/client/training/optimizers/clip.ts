import type { Pace } from '../pace.ts'
import type { Parameter } from '../parameter.ts'

/** Keeps a zero norm from dividing; torch's value. */
const EPS = 1e-6

/**
 * The norm of all gradients as one vector; gradients of a larger norm than `maxNorm` are scaled down to it (Pascanu et
 * al., "On the difficulty of training recurrent neural networks"), in pieces. NaN or infinity where a gradient has such.
 */
export async function clipGradients(parameters: readonly Parameter[], maxNorm: number, pace: Pace): Promise<number> {
  let squares = 0
  for (const { gradient } of parameters)
    await pace.each(gradient.length, (from, until) => {
      for (let i = from; i < until; i++) squares += gradient[i]! * gradient[i]!
    })
  const norm = Math.sqrt(squares)
  const factor = maxNorm / (norm + EPS)
  if (factor < 1) await scaleGradients(parameters, factor, pace)
  return norm
}

/** Multiplies all gradients. */
export async function scaleGradients(parameters: readonly Parameter[], factor: number, pace: Pace): Promise<void> {
  for (const { gradient } of parameters)
    await pace.each(gradient.length, (from, until) => {
      for (let i = from; i < until; i++) gradient[i]! *= factor
    })
}
