import { errorCode, errorMessage } from '../../base/errors.ts'
import type { EndsRunner } from './ends-runner.ts'
import type { EndsEvent, HeadCommand } from './messages.ts'
import type { RowSampler } from './row-sampler.ts'

/** Rows of one run that are chosen from: what their logits take stays within bounds. */
const MAX_ROWS = 64

export interface RowSizes {
  readonly hiddenSize: number
  readonly outputSize: number
}

/**
 * Runs the head for all that waits together and then does with each row what its command says. The options of texts
 * may differ: the head knows nothing of them.
 */
export class HeadRuns {
  readonly #runner: EndsRunner
  readonly #sampler: RowSampler
  readonly #sizes: RowSizes
  /** Memory of the last run's inputs and outputs, used again. */
  #hidden: Float32Array = new Float32Array(0)
  #rows: Float32Array = new Float32Array(0)

  constructor(runner: EndsRunner, sampler: RowSampler, sizes: RowSizes) {
    this.#runner = runner
    this.#sampler = sampler
    this.#sizes = sizes
  }

  /** Answers each command as soon as its rows are done. */
  run(commands: readonly HeadCommand[], post: (event: EndsEvent) => void): void {
    for (const group of this.#groups(commands)) {
      try {
        if (group.length === 1 && group[0]!.type === 'head') this.#runAlone(group[0]!, post)
        else this.#runTogether(group, post)
      } catch (error) {
        for (const { taskId } of group) post(failed(taskId, error))
      }
    }
  }

  /** A whole sequence's logits are large: they are handed on as they are. */
  #runAlone({ taskId, hidden }: HeadCommand, post: (event: EndsEvent) => void): void {
    const began = performance.now()
    const result = this.#runner.head(hidden)
    const seconds = secondsSince(began)
    post({ type: 'done', taskId, result, seconds, headSeconds: seconds / (hidden.length / this.#sizes.hiddenSize) })
  }

  #runTogether(group: readonly HeadCommand[], post: (event: EndsEvent) => void): void {
    const { hiddenSize, outputSize } = this.#sizes
    const began = performance.now()
    const numRows = group.reduce((sum, { hidden }) => sum + hidden.length / hiddenSize, 0)
    const logits = this.#head(group, numRows)
    const headSeconds = secondsSince(began) / numRows
    let at = 0
    for (const command of group) {
      const rows = command.hidden.length / hiddenSize
      const answered = performance.now()
      try {
        const result = this.#sampler.answer(command, logits.subarray(at, at + rows * outputSize), outputSize)
        const seconds = headSeconds * rows + secondsSince(answered)
        post({ type: 'done', taskId: command.taskId, result, seconds, headSeconds })
      } catch (error) {
        post(failed(command.taskId, error))
      }
      at += rows * outputSize
    }
  }

  #head(group: readonly HeadCommand[], numRows: number): Float32Array {
    const { hiddenSize, outputSize } = this.#sizes
    const hidden = (this.#hidden = atLeast(this.#hidden, numRows * hiddenSize))
    const rows = (this.#rows = atLeast(this.#rows, numRows * outputSize))
    let at = 0
    for (const command of group) {
      hidden.set(command.hidden, at)
      at += command.hidden.length
    }
    return this.#runner.head(hidden.subarray(0, at), rows.subarray(0, numRows * outputSize))
  }

  #groups(commands: readonly HeadCommand[]): HeadCommand[][] {
    const groups: HeadCommand[][] = []
    let room = 0
    for (const command of commands) {
      const rows = command.hidden.length / this.#sizes.hiddenSize
      if (groups.length === 0 || rows > room) {
        groups.push([])
        room = MAX_ROWS
      }
      groups.at(-1)!.push(command)
      room -= rows
    }
    return groups
  }
}

function atLeast(values: Float32Array, length: number): Float32Array {
  return values.length >= length ? values : new Float32Array(length)
}

function secondsSince(began: number): number {
  return (performance.now() - began) / 1000
}

function failed(taskId: number, error: unknown): EndsEvent {
  return { type: 'failed', taskId, code: errorCode(error), message: errorMessage(error) }
}
