import { convert } from '../../tensor/convert.ts'
import { type FloatDType, dtypeSize } from '../../tensor/dtype.ts'
import { type Tensor, asFloat32, fromFloat32, sliceRows } from '../../tensor/tensor.ts'
import type { RowBatch } from './row-batch.ts'

/** Of one step: what is added to each block's input at the step's first `tokens` positions. */
export interface StepPrompts {
  readonly tokens: number
  /** One for each block, [tokens, hidden] in the span's dtype. */
  readonly blocks: readonly Uint8Array[]
}

/** Of the batch's first tokens, from the step's token `first` on. */
export interface BatchPrompts extends StepPrompts {
  readonly first: number
}

/** What of a session's prompts [blocks, tokens, hidden] falls into a step, which is none behind their last position. */
export function promptsOfStep(prompts: Tensor | undefined, position: number, tokens: number): StepPrompts | undefined {
  const [blocks = 0, length = 0, width = 0] = prompts?.shape ?? []
  const until = Math.min(length, position + tokens)
  if (prompts === undefined || position >= until) return undefined
  const rows = { ...prompts, shape: [blocks * length, width] }
  return {
    tokens: until - position,
    blocks: Array.from({ length: blocks }, (_, i) =>
      sliceRows(rows, i * length + position, i * length + until).data.slice(),
    ),
  }
}

/** Runs a batch of one row block by block, its prompts being added in between. */
export function runPrompted(
  batch: RowBatch,
  prompts: BatchPrompts,
  dtype: FloatDType,
  run: (part: RowBatch) => void,
): void {
  const tokenBytes = batch.input.byteLength / batch.tokens
  const from = prompts.first * tokenBytes
  const until = Math.min(prompts.tokens, prompts.first + batch.tokens) * tokenBytes
  let input: Uint8Array = batch.input.slice()
  for (let block = batch.start; block < batch.end; block++) {
    addTo(input, prompts.blocks[block - batch.start]!.subarray(from, until), dtype)
    const output = block === batch.end - 1 ? batch.output : new Uint8Array(input.byteLength)
    run({ ...batch, start: block, end: block + 1, input, output })
    input = output
  }
}

/** Adds to the first elements; what is there is rounded to the dtype once. */
export function addTo(target: Uint8Array, addend: Uint8Array, dtype: FloatDType): void {
  const floats = (data: Uint8Array) =>
    asFloat32(convert({ dtype, shape: [data.byteLength / dtypeSize(dtype)], data: data.slice() }, 'float32'))
  const added = floats(addend)
  const sum = floats(target.subarray(0, addend.byteLength)).map((value, i) => value + added[i]!)
  target.set(convert(fromFloat32(sum, [sum.length]), dtype).data)
}
