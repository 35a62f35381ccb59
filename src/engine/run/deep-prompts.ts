import { convert } from '../../tensor/convert.ts'
import { type FloatDType, dtypeSize } from '../../tensor/dtype.ts'
import { type Tensor, asFloat32, fromFloat32, sliceRows } from '../../tensor/tensor.ts'

/** Of one step: what is added to each block's input at the step's first `tokens` positions. */
export interface StepPrompts {
  readonly tokens: number
  /** One for each block, [tokens, hidden] in the span's dtype. */
  readonly blocks: readonly Uint8Array[]
}

/** Of a batch's first tokens, from the step's token `first` on; of each of its rows the same. */
export interface BatchPrompts extends StepPrompts {
  readonly first: number
}

/** What of a step's prompts falls behind its token `first`. */
export function promptsFrom(prompts: StepPrompts | undefined, first: number): BatchPrompts | undefined {
  return prompts === undefined || first >= prompts.tokens ? undefined : { ...prompts, first }
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

/** What is added to a block's input in the first of `tokens` tokens of a batch, `tokenBytes` each. */
export function promptsOfBlock(
  { blocks, first, tokens: until }: BatchPrompts,
  block: number,
  tokens: number,
  tokenBytes: number,
): Uint8Array {
  const last = Math.max(first, Math.min(until, first + tokens))
  return blocks[block]!.subarray(first * tokenBytes, last * tokenBytes)
}

/** Adds to the first elements; what is there is rounded to the dtype once. */
export function addTo(target: Uint8Array, addend: Uint8Array, dtype: FloatDType): void {
  const floats = (data: Uint8Array) =>
    asFloat32(convert({ dtype, shape: [data.byteLength / dtypeSize(dtype)], data: data.slice() }, 'float32'))
  const added = floats(addend)
  const sum = floats(target.subarray(0, addend.byteLength)).map((value, i) => value + added[i]!)
  target.set(convert(fromFloat32(sum, [sum.length]), dtype).data)
}
