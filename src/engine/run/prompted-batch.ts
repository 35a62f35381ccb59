import type { FloatDType } from '../../tensor/dtype.ts'
import { addTo, promptsOfBlock } from './deep-prompts.ts'
import type { RowBatch } from './row-batch.ts'

/**
 * Cuts a batch of one row into runs: those that add prompts, to each of at most `most` tokens, and the one behind the
 * last prompt. A batch without prompts is one run.
 */
export function* cutAtPrompts(batch: RowBatch, most: number): Generator<RowBatch> {
  const { prompts, tokens, input, output, pastLengths } = batch
  if (prompts === undefined) return yield batch
  const prompted = Math.max(0, Math.min(tokens, prompts.tokens - prompts.first))
  const tokenBytes = input.byteLength / tokens
  for (let at = 0; at < tokens;) {
    const until = at < prompted ? Math.min(prompted, at + most) : tokens
    yield {
      ...batch,
      tokens: until - at,
      pastLengths: pastLengths.map((past) => past + at),
      input: input.subarray(at * tokenBytes, until * tokenBytes),
      output: output.subarray(at * tokenBytes, until * tokenBytes),
      prompts: at < prompted ? { ...prompts, first: prompts.first + at } : undefined,
    }
    at = until
  }
}

/**
 * Adds what a batch adds to a block's input to `hidden`, which begins with [rows, tokens, hidden]: to each row the
 * same.
 */
export function addPrompts(
  hidden: Uint8Array,
  { prompts, start, tokens, pastLengths: { length: rows }, input }: RowBatch,
  block: number,
  dtype: FloatDType,
): void {
  if (prompts === undefined) return
  const rowBytes = input.byteLength / rows
  const added = promptsOfBlock(prompts, block - start, tokens, rowBytes / tokens)
  for (let row = 0; row < rows; row++) addTo(hidden.subarray(row * rowBytes), added, dtype)
}
