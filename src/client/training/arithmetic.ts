import { inPieces, turn } from '../../base/pace.ts'

// Arithmetic over many values, in pieces between which the event loop gets its turn.

/** A copy of values. */
export async function copyOf(values: Float32Array): Promise<Float32Array> {
  const copy = new Float32Array(values.length)
  await setTo(copy, values)
  return copy
}

/** Gives `target` the values of `source`, which is as long. */
export async function setTo(target: Float32Array, source: Float32Array): Promise<void> {
  await inPieces(source.length, (from, until) => target.set(source.subarray(from, until), from))
}

/** Adds `more` to `sum`, in its place. */
export async function addTo(sum: Float32Array, more: Float32Array): Promise<void> {
  await inPieces(sum.length, (from, until) => {
    for (let i = from; i < until; i++) sum[i]! += more[i]!
  })
}

/** Multiplies values, in their place. */
export async function multiply(values: Float32Array, factor: number): Promise<void> {
  await inPieces(values.length, (from, until) => {
    for (let i = from; i < until; i++) values[i]! *= factor
  })
}

/** `x` [rows, width] times the transpose of `weight` [outputs, width]: [rows, outputs]. */
export async function linearOf(
  x: Float32Array,
  weight: Float32Array,
  { rows, width, outputs }: { readonly rows: number; readonly width: number; readonly outputs: number },
): Promise<Float32Array> {
  const values = new Float32Array(rows * outputs)
  for (let row = 0; row < rows; row++)
    for (let output = 0; output < outputs; output++) {
      let sum = 0
      for (let i = 0; i < width; i++) sum += x[row * width + i]! * weight[output * width + i]!
      values[row * outputs + output] = sum
      await turn()
    }
  return values
}
