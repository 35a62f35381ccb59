import type { Blocks, BlocksPass } from '../../../src/client/training/tape/blocks.ts'
import type { LossOptions, RowLosses } from '../../../src/engine/ends/row-losses.ts'
import { crossEntropy } from '../../../src/client/training/tape/losses.ts'
import { linear } from '../../../src/client/training/tape/rows.ts'
import { Tape, type Variable } from '../../../src/client/training/tape/tape.ts'
import { type Tensor, asFloat32, fromFloat32 } from '../../../src/tensor/tensor.ts'

/** A matrix without meaning, the same in every run. */
export function matrix(rows: number, columns: number, seed: number): Float32Array {
  return Float32Array.from({ length: rows * columns }, (_, i) => Math.sin(seed + i * 1.7))
}

const VOCAB = 5

/**
 * A model small enough that its gradients can be written down: one block y = tanh(x + s), where x is the input with the
 * prompts added and s the changes of a LoRA module, B A x; each row also sees the row before it. A norm y = x^3 + x,
 * and a head.
 */
export class StandIn {
  /** How many passes were computed, walked back, and given back. */
  readonly count = { forward: 0, backward: 0, released: 0 }

  blocks(a?: Variable, b?: Variable): Blocks {
    return {
      forward: async (hidden, prompts) => this.#pass(hidden, prompts, a, b).output,
      pass: async (hidden, prompts) => this.#pass(hidden, prompts, a, b),
    }
  }

  async head(hidden: Float32Array): Promise<Float32Array> {
    return hidden.map((x) => x ** 3 + x)
  }

  async normGradient(hidden: Float32Array, gradient: Float32Array): Promise<Float32Array> {
    return gradient.map((g, i) => g * (3 * hidden[i]! ** 2 + 1))
  }

  async loss(
    hidden: Float32Array,
    targets: Int32Array,
    weights: Float32Array,
    { gradient, head: given }: LossOptions,
  ): Promise<RowLosses> {
    const width = hidden.length / targets.length
    const values = given?.weights.weight ?? matrix(VOCAB, width, 3)
    const head = { name: 'head', shape: [VOCAB, width], values, gradient: new Float32Array(values.length) }
    const losses = new Float32Array(targets.length)
    const ofHidden = new Float32Array(hidden.length)
    for (const [row, target] of targets.entries()) {
      const own = { shape: [1, width], values: hidden.slice(row * width, (row + 1) * width) }
      const tape = new Tape()
      const x = { ...own, name: 'x', gradient: new Float32Array(width) }
      const logits = await linear(tape, tape.parameter(x), tape.parameter(head))
      const loss = crossEntropy(tape, logits, [target])
      if (weights[row] !== 0) losses[row] = loss.values[0]!
      await tape.backward(loss, weights[row])
      ofHidden.set(x.gradient, row * width)
    }
    return {
      losses,
      ...(gradient && { gradient: ofHidden }),
      ...(given?.gradient === true && { head: { weight: head.gradient } }),
    }
  }

  #pass(hidden: Tensor, prompts?: Tensor, a?: Variable, b?: Variable): BlocksPass {
    this.count.forward++
    const [batch = 0, tokens = 0, width = 0] = hidden.shape
    const positions = prompts?.shape[1] ?? 0
    const x = asFloat32(hidden).slice()
    if (prompts !== undefined)
      for (let row = 0; row < batch; row++)
        for (let i = 0; i < positions * width; i++) x[row * tokens * width + i]! += asFloat32(prompts)[i]!
    const rank = a?.shape[0] ?? 0
    const [valuesOfA, valuesOfB] = [a?.values.slice(), b?.values.slice()]
    const rows = batch * tokens
    const low = new Float32Array(rows * rank)
    const y = new Float32Array(x.length)
    for (let row = 0; row < rows; row++) {
      for (let r = 0; r < rank; r++)
        for (let i = 0; i < width; i++) low[row * rank + r]! += valuesOfA![r * width + i]! * x[row * width + i]!
      for (let i = 0; i < width; i++) {
        let sum = x[row * width + i]! + (row % tokens === 0 ? 0 : 0.5 * x[(row - 1) * width + i]!)
        for (let r = 0; r < rank; r++) sum += valuesOfB![i * rank + r]! * low[row * rank + r]!
        y[row * width + i] = Math.tanh(sum)
      }
    }
    return {
      output: fromFloat32(y, hidden.shape),
      [Symbol.dispose]: () => void this.count.released++,
      backward: async (gradient) => {
        this.count.backward++
        const g = asFloat32(gradient).map((each, i) => each * (1 - y[i]! ** 2))
        const ofX = g.slice()
        const ofA = new Float32Array(rank * width)
        const ofB = new Float32Array(width * rank)
        for (let row = 0; row < rows; row++)
          for (let i = 0; i < width; i++) {
            if (row % tokens !== 0) ofX[(row - 1) * width + i]! += 0.5 * g[row * width + i]!
            for (let r = 0; r < rank; r++) {
              ofB[i * rank + r]! += g[row * width + i]! * low[row * rank + r]!
              const up = g[row * width + i]! * valuesOfB![i * rank + r]!
              for (let j = 0; j < width; j++) {
                ofA[r * width + j]! += up * x[row * width + j]!
                ofX[row * width + j]! += up * valuesOfA![r * width + j]!
              }
            }
          }
        const ofPrompts = new Float32Array(positions * width)
        for (let row = 0; row < batch; row++)
          for (let i = 0; i < positions * width; i++) ofPrompts[i]! += ofX[row * tokens * width + i]!
        return {
          hidden: fromFloat32(ofX, hidden.shape),
          ...(prompts && { prompts: fromFloat32(ofPrompts, prompts.shape) }),
          ...(a && {
            adapter: new Map([['module', { a: fromFloat32(ofA, [rank, width]), b: fromFloat32(ofB, [width, rank]) }]]),
          }),
        }
      },
    }
  }
}
