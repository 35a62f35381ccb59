import { type Tensor, asFloat32 } from '../../tensor/tensor.ts'
import { pooledPosition } from '../tuned/classifier.ts'
import { type Batch, textBatch, wholeBatch } from './data/batch.ts'
import type { Example } from './data/dataset.ts'
import { classifierLoss } from './methods/classifier-head.ts'
import type { Trained } from './methods/trained.ts'
import { type Blocks, throughBlocks } from './tape/blocks.ts'
import { type HeadVariables, type LossEnds, type NormEnds, headLoss, lastNorm } from './tape/ends.ts'
import { linear, putBefore, takeRows } from './tape/rows.ts'
import type { Tape, Variable } from './tape/tape.ts'

/** What computes a batch: both ends here, the blocks somewhere. */
export interface BatchModel {
  readonly embed: (ids: readonly number[]) => Promise<Tensor>
  readonly ends: LossEnds & NormEnds
  readonly blocks: Blocks
  /** Stands where a sequence has ended; of no effect on any loss. */
  readonly padId: number
  /** The model's own padding token, at which nothing is pooled. */
  readonly padTokenId: number | undefined
}

/** The loss of a batch. */
export interface BatchLoss {
  /** The sum, [1]: of the losses of tokens by their weights, or of those of sequences. */
  readonly sum: Variable
  /** What the sum is divided by to be a mean. */
  readonly weight: number
  /** The logits of a classifier, [sequences, labels]. */
  readonly logits?: Variable | undefined
}

/** What a batch's loss counts: the weights of what is predicted, or sequences to be classified. */
export function weightOf(examples: readonly Example[], { head }: Trained): number {
  if (head !== undefined) return examples.length
  return examples.reduce((sum, { weights }) => sum + weights.reduce((all, weight) => all + weight, 0), 0)
}

/** The loss of examples, on a tape. Throws what ends and blocks throw; `signal` ends one that is not trained. */
export async function batchLoss(
  tape: Tape,
  model: BatchModel,
  trained: Trained,
  examples: readonly Example[],
  signal?: AbortSignal,
): Promise<BatchLoss> {
  return trained.head === undefined
    ? textLoss(tape, model, trained, examples, signal)
    : labelLoss(tape, model, trained, examples, signal)
}

async function textLoss(
  tape: Tape,
  model: BatchModel,
  trained: Trained,
  examples: readonly Example[],
  signal: AbortSignal | undefined,
): Promise<BatchLoss> {
  const batch = textBatch(examples, model.padId)
  const rows = await blockRows(tape, model, trained, batch, batch.rows, signal)
  return { sum: await headLoss(tape, model.ends, rows, batch, headOf(tape, trained)), weight: batch.weight }
}

function headOf(tape: Tape, { lmHead }: Trained): HeadVariables | undefined {
  if (lmHead === undefined) return undefined
  return { weight: tape.parameter(lmHead.weight), bias: lmHead.bias && tape.parameter(lmHead.bias) }
}

async function labelLoss(
  tape: Tape,
  model: BatchModel,
  trained: Trained,
  examples: readonly Example[],
  signal: AbortSignal | undefined,
): Promise<BatchLoss> {
  const batch = wholeBatch(examples, model.padId)
  const pooled = examples.map(({ ids }, i) => i * batch.tokens + pooledPosition(ids, model.padTokenId))
  const rows = await blockRows(tape, model, trained, batch, pooled, signal)
  const { score, problemType } = trained.head!
  const logits = await linear(tape, await lastNorm(tape, model.ends, rows), tape.parameter(score))
  return { sum: classifierLoss(tape, logits, batch.labels, problemType), weight: examples.length, logits }
}

/** The last block's output at some rows, numbered in the batch without prompts: [rows, hidden]. */
async function blockRows(
  tape: Tape,
  { embed, blocks }: BatchModel,
  { prompts, lora }: Trained,
  { ids, size, tokens }: Batch,
  wanted: readonly number[],
  signal: AbortSignal | undefined,
): Promise<Variable> {
  const embedded = await embed(ids)
  const width = embedded.shape.at(-1)!
  const words = tape.constant([size, tokens, width], asFloat32(embedded))
  const input = prompts === undefined ? words : await putBefore(tape, tape.parameter(prompts.before), words)
  const output = await throughBlocks(tape, blocks, input, {
    prompts: prompts?.deep && tape.parameter(prompts.deep),
    adapter: lora?.modules.map(({ name, a, b }) => ({ name, a: tape.parameter(a), b: tape.parameter(b) })),
    signal,
  })
  const positions = input.shape[1]!
  const places = wanted.map((row) => {
    const sequence = Math.floor(row / tokens)
    return sequence * positions + (positions - tokens) + (row % tokens)
  })
  return takeRows(tape, output, places)
}
