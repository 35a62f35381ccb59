import type { Tape, Variable } from './tape.ts'

/** A loss of logits [rows, labels], and its gradient with respect to them. */
interface Loss {
  readonly value: number
  readonly gradient: Float32Array
}

/** Records the sum over rows of a loss. */
function recorded(tape: Tape, logits: Variable, { value, gradient }: Loss): Variable {
  return tape.record([logits], [1], Float32Array.of(value), ([scale]) => [gradient.map((each) => each * scale!)])
}

/** The sum over rows of the cross entropy: `logits` [rows, labels], the right label of each row -> [1]. */
export function crossEntropy(tape: Tape, logits: Variable, labels: readonly number[]): Variable {
  const [rows = 0, classes = 0] = logits.shape
  const gradient = new Float32Array(rows * classes)
  let value = 0
  for (let row = 0; row < rows; row++) {
    const own = logits.values.subarray(row * classes, (row + 1) * classes)
    const most = own.reduce((a, b) => Math.max(a, b), -Infinity)
    let sum = 0
    for (const logit of own) sum += Math.exp(logit - most)
    const label = labels[row]!
    value += Math.log(sum) + most - own[label]!
    for (let i = 0; i < classes; i++)
      gradient[row * classes + i] = Math.exp(own[i]! - most) / sum - (i === label ? 1 : 0)
  }
  return recorded(tape, logits, { value, gradient })
}

/** The sum over rows of the mean squared distance: `logits` and `targets` [rows, labels] -> [1]. */
export function meanSquares(tape: Tape, logits: Variable, targets: Float32Array): Variable {
  const width = logits.shape[1] ?? 1
  const gradient = logits.values.map((logit, i) => (2 * (logit - targets[i]!)) / width)
  const value = logits.values.reduce((sum, logit, i) => sum + (logit - targets[i]!) ** 2 / width, 0)
  return recorded(tape, logits, { value, gradient })
}

/**
 * The sum over rows of the mean binary cross entropy, each label being true or not by itself: `logits` and `targets`
 * (0 to 1) [rows, labels] -> [1].
 */
export function binaryCrossEntropy(tape: Tape, logits: Variable, targets: Float32Array): Variable {
  const width = logits.shape[1] ?? 1
  const gradient = logits.values.map((logit, i) => (1 / (1 + Math.exp(-logit)) - targets[i]!) / width)
  // log(1 + e^x) - t x, in a form that does not overflow.
  const value = logits.values.reduce(
    (sum, x, i) => sum + (Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))) - targets[i]! * x) / width,
    0,
  )
  return recorded(tape, logits, { value, gradient })
}
