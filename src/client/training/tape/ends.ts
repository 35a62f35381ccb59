import type { Tape, Variable } from './tape.ts'

/** The losses of rows, and what they say to the hidden states. */
export interface HeadLoss {
  /** The cross entropy of each row, in nats; 0 where its weight is 0. */
  readonly losses: Float32Array
  /** The gradient of the weighted sum with respect to the hidden states, if it was asked for. */
  readonly gradient?: Float32Array | undefined
}

/** The part of a model's ends that computes losses. */
export interface LossEnds {
  loss(
    hidden: Float32Array,
    targets: Int32Array,
    weights: Float32Array,
    options: { readonly gradient: boolean },
  ): Promise<HeadLoss>
}

/** The part of a model's ends that is behind the last block, without the head. */
export interface NormEnds {
  head(hidden: Float32Array): Promise<Float32Array>
  normGradient(hidden: Float32Array, gradient: Float32Array): Promise<Float32Array>
}

/**
 * Last norm, head and cross entropy: the last block's output [rows, hidden] and a target id and a weight for each row ->
 * the sum of weighted losses, [1].
 */
export async function headLoss(
  tape: Tape,
  ends: LossEnds,
  hidden: Variable,
  { targets, weights }: { readonly targets: Int32Array; readonly weights: Float32Array },
): Promise<Variable> {
  const { losses, gradient } = await ends.loss(hidden.values.slice(), targets, weights, { gradient: hidden.isTrained })
  const sum = losses.reduce((total, loss, i) => total + loss * weights[i]!, 0)
  return tape.record([hidden], [1], Float32Array.of(sum), ([scale]) => [gradient?.map((each) => each * scale!)])
}

/** The last norm alone: [rows, hidden] -> the same. */
export async function lastNorm(tape: Tape, ends: NormEnds, hidden: Variable): Promise<Variable> {
  const normed = await ends.head(hidden.values.slice())
  return tape.record([hidden], hidden.shape, normed, async (gradient) => [
    await ends.normGradient(hidden.values.slice(), gradient),
  ])
}
