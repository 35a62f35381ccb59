import type { Tape, Variable } from './tape.ts'

/**
 * Puts the same rows before each sequence: `rows` [positions, hidden], `sequences` [batch, tokens, hidden] -> [batch,
 * positions + tokens, hidden].
 */
export function putBefore(tape: Tape, rows: Variable, sequences: Variable): Variable {
  const [batch = 0, tokens = 0, width = 0] = sequences.shape
  const [positions = 0] = rows.shape
  const [front, rest] = [positions * width, tokens * width]
  const values = new Float32Array(batch * (front + rest))
  for (let i = 0; i < batch; i++) {
    values.set(rows.values, i * (front + rest))
    values.set(sequences.values.subarray(i * rest, (i + 1) * rest), i * (front + rest) + front)
  }
  return tape.record([rows, sequences], [batch, positions + tokens, width], values, (gradient) => {
    const ofRows = new Float32Array(front)
    for (let i = 0; i < batch; i++) for (let j = 0; j < front; j++) ofRows[j]! += gradient[i * (front + rest) + j]!
    const ofSequences = sequences.isTrained ? new Float32Array(batch * rest) : undefined
    for (let i = 0; i < batch; i++)
      ofSequences?.set(gradient.subarray(i * (front + rest) + front, (i + 1) * (front + rest)), i * rest)
    return [ofRows, ofSequences]
  })
}

/** Rows of `values` [..., hidden], all axes but the last seen as one: `chosen` -> [chosen, hidden]. */
export function takeRows(tape: Tape, source: Variable, chosen: readonly number[]): Variable {
  const width = source.shape.at(-1) ?? 1
  const values = new Float32Array(chosen.length * width)
  for (const [i, row] of chosen.entries()) values.set(source.values.subarray(row * width, (row + 1) * width), i * width)
  return tape.record([source], [chosen.length, width], values, (gradient) => {
    const ofSource = new Float32Array(source.values.length)
    for (const [i, row] of chosen.entries())
      for (let j = 0; j < width; j++) ofSource[row * width + j]! += gradient[i * width + j]!
    return [ofSource]
  })
}

/** A linear layer without bias: `x` [rows, in], `weight` [out, in] -> [rows, out]. */
export function linear(tape: Tape, x: Variable, weight: Variable): Variable {
  const [rows = 0, width = 0] = x.shape
  const [outputs = 0] = weight.shape
  const values = new Float32Array(rows * outputs)
  for (let row = 0; row < rows; row++)
    for (let output = 0; output < outputs; output++) {
      let sum = 0
      for (let i = 0; i < width; i++) sum += x.values[row * width + i]! * weight.values[output * width + i]!
      values[row * outputs + output] = sum
    }
  return tape.record([x, weight], [rows, outputs], values, (gradient) => {
    const ofX = x.isTrained ? new Float32Array(x.values.length) : undefined
    const ofWeight = new Float32Array(weight.values.length)
    for (let row = 0; row < rows; row++)
      for (let output = 0; output < outputs; output++) {
        const g = gradient[row * outputs + output]!
        for (let i = 0; i < width; i++) {
          ofWeight[output * width + i]! += g * x.values[row * width + i]!
          if (ofX !== undefined) ofX[row * width + i]! += g * weight.values[output * width + i]!
        }
      }
    return [ofX, ofWeight]
  })
}
