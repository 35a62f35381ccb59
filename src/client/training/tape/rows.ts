import { inPieces, turn } from '../../../base/pace.ts'
import { linearOf, setTo } from '../arithmetic.ts'
import type { Tape, Variable } from './tape.ts'

/**
 * Puts the same rows before each sequence: `rows` [positions, hidden], `sequences` [batch, tokens, hidden] -> [batch,
 * positions + tokens, hidden].
 */
export async function putBefore(tape: Tape, rows: Variable, sequences: Variable): Promise<Variable> {
  const [batch = 0, tokens = 0, width = 0] = sequences.shape
  const [positions = 0] = rows.shape
  const [front, rest] = [positions * width, tokens * width]
  const values = new Float32Array(batch * (front + rest))
  for (let i = 0; i < batch; i++) {
    values.set(rows.values, i * (front + rest))
    const place = i * (front + rest) + front
    const words = sequences.values.subarray(i * rest, (i + 1) * rest)
    await setTo(values.subarray(place, place + rest), words)
  }
  return tape.record([rows, sequences], [batch, positions + tokens, width], values, async (gradient) => {
    const ofRows = new Float32Array(front)
    for (let i = 0; i < batch; i++)
      await inPieces(front, (from, until) => {
        for (let j = from; j < until; j++) ofRows[j]! += gradient[i * (front + rest) + j]!
      })
    if (!sequences.isTrained) return [ofRows]
    const ofSequences = new Float32Array(batch * rest)
    for (let i = 0; i < batch; i++) {
      const from = i * (front + rest) + front
      await setTo(ofSequences.subarray(i * rest, (i + 1) * rest), gradient.subarray(from, from + rest))
    }
    return [ofRows, ofSequences]
  })
}

/** Rows of `values` [..., hidden], all axes but the last seen as one: `chosen` -> [chosen, hidden]. */
export async function takeRows(tape: Tape, source: Variable, chosen: readonly number[]): Promise<Variable> {
  const width = source.shape.at(-1) ?? 1
  const values = new Float32Array(chosen.length * width)
  for (const [i, row] of chosen.entries()) {
    values.set(source.values.subarray(row * width, (row + 1) * width), i * width)
    await turn()
  }
  return tape.record([source], [chosen.length, width], values, async (gradient) => {
    const ofSource = new Float32Array(source.values.length)
    for (const [i, row] of chosen.entries()) {
      for (let j = 0; j < width; j++) ofSource[row * width + j]! += gradient[i * width + j]!
      await turn()
    }
    return [ofSource]
  })
}

/** A linear layer without bias: `x` [rows, in], `weight` [out, in] -> [rows, out]. */
export async function linear(tape: Tape, x: Variable, weight: Variable): Promise<Variable> {
  const [rows = 0, width = 0] = x.shape
  const [outputs = 0] = weight.shape
  const values = await linearOf(x.values, weight.values, { rows, width, outputs })
  return tape.record([x, weight], [rows, outputs], values, async (gradient) => {
    const ofX = x.isTrained ? new Float32Array(x.values.length) : undefined
    const ofWeight = new Float32Array(weight.values.length)
    for (let row = 0; row < rows; row++)
      for (let output = 0; output < outputs; output++) {
        const g = gradient[row * outputs + output]!
        for (let i = 0; i < width; i++) ofWeight[output * width + i]! += g * x.values[row * width + i]!
        if (ofX !== undefined)
          for (let i = 0; i < width; i++) ofX[row * width + i]! += g * weight.values[output * width + i]!
        await turn()
      }
    return [ofX, ofWeight]
  })
}
