import type { HeadWeights } from '../../../engine/ends/head-weights.ts'
import type { LossOptions, RowLosses } from '../../../engine/ends/row-losses.ts'
import { copyOf, multiply } from '../arithmetic.ts'
import type { Tape, Variable } from './tape.ts'

/** The part of a model's ends that computes losses. */
export interface LossEnds {
  loss(hidden: Float32Array, targets: Int32Array, weights: Float32Array, options: LossOptions): Promise<RowLosses>
}

/** The part of a model's ends that is behind the last block, without the head. */
export interface NormEnds {
  head(hidden: Float32Array): Promise<Float32Array>
  normGradient(hidden: Float32Array, gradient: Float32Array): Promise<Float32Array>
}

/** A head's parameters on the tape: weight [vocab, hidden], bias [vocab]. */
export interface HeadVariables {
  readonly weight: Variable
  readonly bias?: Variable | undefined
}

/**
 * Last norm, head and cross entropy: the last block's output [rows, hidden] and a target id and a weight for each row
 * -> the sum of weighted losses, [1]. `head`: in place of the model's own.
 */
export async function headLoss(
  tape: Tape,
  ends: LossEnds,
  hidden: Variable,
  { targets, weights }: { readonly targets: Int32Array; readonly weights: Float32Array },
  head?: HeadVariables,
): Promise<Variable> {
  const found = await ends.loss(await copyOf(hidden.values), targets, weights, {
    gradient: hidden.isTrained,
    ...(head !== undefined && { head: { weights: valuesOf(head), gradient: head.weight.isTrained } }),
  })
  const sum = found.losses.reduce((total, loss, i) => total + loss * weights[i]!, 0)
  const variables = head === undefined ? [] : [head.weight, head.bias].filter((each) => each !== undefined)
  return tape.record([hidden, ...variables], [1], Float32Array.of(sum), async ([scale]) => {
    const gradients = [found.gradient, found.head?.weight, found.head?.bias]
    for (const each of gradients) if (each !== undefined) await multiply(each, scale!)
    return gradients
  })
}

function valuesOf({ weight, bias }: HeadVariables): HeadWeights {
  return { weight: weight.values, ...(bias !== undefined && { bias: bias.values }) }
}

/** The last norm alone: [rows, hidden] -> the same. */
export async function lastNorm(tape: Tape, ends: NormEnds, hidden: Variable): Promise<Variable> {
  const normed = await ends.head(await copyOf(hidden.values))
  return tape.record([hidden], hidden.shape, normed, async (gradient) => [
    await ends.normGradient(await copyOf(hidden.values), gradient),
  ])
}
