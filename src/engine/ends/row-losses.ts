import type { HeadWeights } from './head-weights.ts'

/** A head that is trained, in place of the model's own. */
export interface TrainedHeadWeights {
  readonly weights: HeadWeights
  /** Whether its gradient is wanted. */
  readonly gradient: boolean
}

/** What is wanted besides losses. */
export interface LossOptions {
  /** Whether the gradient with respect to the hidden states is. */
  readonly gradient: boolean
  readonly head?: TrainedHeadWeights | undefined
}

/** The losses of rows, and the gradients that were asked for. */
export interface RowLosses {
  readonly losses: Float32Array
  /** With respect to the hidden states. */
  readonly gradient?: Float32Array | undefined
  /** With respect to the head's parameters. */
  readonly head?: HeadWeights | undefined
}
