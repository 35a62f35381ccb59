import { errorCode, errorMessage } from '../../base/errors.ts'
import type { EndsEvent, HeadRows, RowTask } from './messages.ts'
import type { RowSampler } from './row-sampler.ts'

/** Where answers go. */
export interface Answers {
  post(event: EndsEvent): void
}

/** Does with the rows of a run of the head what each of `tasks` says; one that fails fails alone. */
export function answerRows(
  sampler: RowSampler,
  tasks: readonly RowTask[],
  { logits, outputSize, headSeconds }: HeadRows,
  answers: Answers,
): void {
  // Rows share what a run costs: only a row's own run tells what the head takes for one.
  const isAlone = logits.length === outputSize
  for (const { command, row, numRows } of tasks) {
    const began = performance.now()
    try {
      const rows = logits.subarray(row * outputSize, (row + numRows) * outputSize)
      const result = sampler.answer(command, rows, outputSize)
      const seconds = headSeconds * numRows + (performance.now() - began) / 1000
      answers.post({ type: 'done', taskId: command.taskId, result, seconds, ...(isAlone && { headSeconds }) })
    } catch (error) {
      answers.post(failed(command.taskId, error))
    }
  }
}

/** Tells that a task has failed. */
export function failed(taskId: number, error: unknown): EndsEvent {
  return { type: 'failed', taskId, code: errorCode(error), message: errorMessage(error) }
}
