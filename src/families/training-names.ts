/** The name of backward's input: the gradient of the loss with respect to the block's output. */
export const OUTPUT_GRADIENT = 'output_gradient'

/** The name of backward's output: the gradient of the loss with respect to the block's input. */
export const HIDDEN_GRADIENT = 'hidden_gradient'

/** The name of backward's output for an input of an adapter's matrix. */
export function gradientName(loraInput: string): string {
  return `gradient:${loraInput}`
}
