/** The losses of rows, and the gradient with respect to the hidden states where it was asked for. */
export interface RowLosses {
  readonly losses: Float32Array
  readonly gradient?: Float32Array | undefined
}
