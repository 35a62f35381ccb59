import { type Answers, failed } from './answer-rows.ts'
import { type Choosers, type Readers, waitFor } from './choosers.ts'
import type { EndsRunner } from './ends-runner.ts'
import type { HeadCommand, RowTask } from './messages.ts'

/** Rows of one run that are chosen from: what their logits take stays within bounds. */
const MAX_ROWS = 64

/** Runs whose logits are kept at a time: one is computed while other threads still choose from the one before. */
const NUM_KEPT = 2

export interface RowSizes {
  readonly hiddenSize: number
  readonly outputSize: number
}

/** Memory for the logits of a run, and who may still read them. */
interface KeptRows {
  rows: Float32Array
  readers: Readers
}

/**
 * Runs the head for all that waits together and then has done with each row what its command says. The options of texts
 * may differ: the head knows nothing of them.
 */
export class HeadRuns {
  readonly #runner: EndsRunner
  readonly #choosers: Choosers
  readonly #sizes: RowSizes
  /** Memory of runs' inputs and outputs, used again. */
  #hidden: Float32Array = new Float32Array(0)
  readonly #kept = Array.from({ length: NUM_KEPT }, (): KeptRows => ({ rows: new Float32Array(0), readers: [] }))
  #current = 0

  constructor(runner: EndsRunner, choosers: Choosers, sizes: RowSizes) {
    this.#runner = runner
    this.#choosers = choosers
    this.#sizes = sizes
  }

  /** Answers each command as soon as its rows are done. */
  run(commands: readonly HeadCommand[], answers: Answers): void {
    for (const group of this.#groups(commands)) {
      try {
        if (group.length === 1 && group[0]!.type === 'head') this.#runAlone(group[0]!, answers)
        else this.#runTogether(group, answers)
      } catch (error) {
        for (const { taskId } of group) answers.post(failed(taskId, error))
      }
    }
  }

  /** A whole sequence's logits are large: they are handed on as they are. */
  #runAlone({ taskId, hidden }: HeadCommand, answers: Answers): void {
    const began = performance.now()
    const result = this.#runner.head(hidden)
    const seconds = secondsSince(began)
    const isOneRow = hidden.length === this.#sizes.hiddenSize
    answers.post({ type: 'done', taskId, result, seconds, ...(isOneRow && { headSeconds: seconds }) })
  }

  #runTogether(group: readonly HeadCommand[], answers: Answers): void {
    const { hiddenSize, outputSize } = this.#sizes
    let total = 0
    const tasks = group.map(({ hidden, ...command }): RowTask => {
      const numRows = hidden.length / hiddenSize
      const row = total
      total += numRows
      return { command, row, numRows }
    })
    const kept = this.#rows(total * outputSize)
    const began = performance.now()
    const logits = this.#runner.head(this.#joined(group, total), kept.rows.subarray(0, total * outputSize))
    kept.readers = this.#choosers.answer(
      tasks,
      { logits, outputSize, headSeconds: secondsSince(began) / total },
      answers,
    )
  }

  /** Memory for so many logits, which nobody reads. */
  #rows(length: number): KeptRows {
    if (this.#kept[this.#current]!.readers.length > 0) this.#current = (this.#current + 1) % NUM_KEPT
    const kept = this.#kept[this.#current]!
    waitFor(kept.readers)
    kept.readers = []
    kept.rows = atLeast(kept.rows, length)
    return kept
  }

  /** The hidden states of a group, side by side. */
  #joined(group: readonly HeadCommand[], numRows: number): Float32Array {
    const hidden = (this.#hidden = atLeast(this.#hidden, numRows * this.#sizes.hiddenSize))
    let at = 0
    for (const command of group) {
      hidden.set(command.hidden, at)
      at += command.hidden.length
    }
    return hidden.subarray(0, at)
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
  if (values.length >= length) return values
  return new Float32Array(new SharedArrayBuffer(length * Float32Array.BYTES_PER_ELEMENT))
}

function secondsSince(began: number): number {
  return (performance.now() - began) / 1000
}
