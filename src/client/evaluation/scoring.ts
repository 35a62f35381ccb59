import { turn } from '../../base/pace.ts'
import { type Tensor, asFloat32, fromFloat32 } from '../../tensor/tensor.ts'
import { type Classifier, pooledPosition } from '../tuned/classifier.ts'
import { type TunedPrompts, withPrompts } from '../tuned/tuned-prompts.ts'
import type { ActiveAdapter } from '../remote/adapters/active-adapter.ts'
import { type Batch, textBatch, wholeBatch } from '../training/data/batch.ts'
import type { Example } from '../training/data/dataset.ts'
import { linearOf } from '../training/arithmetic.ts'
import type { LossEnds } from '../training/tape/ends.ts'
import type { Score, Task } from './task.ts'

/** What computes scores: both ends here, the blocks on servers. */
export interface ScoringModel {
  readonly ends: LossEnds & {
    embed(ids: readonly number[]): Promise<Tensor>
    head(hidden: Float32Array): Promise<Float32Array>
  }
  readonly layers: {
    forward(
      hidden: Tensor,
      options: { prompts?: Tensor | undefined; activeAdapter?: ActiveAdapter | undefined; signal?: AbortSignal },
    ): Promise<Tensor>
  }
  readonly classifier?: Classifier | undefined
  /** The model's padding token, if it has one: a classifier looks at the last token before it. */
  readonly padTokenId: number | undefined
}

/** With what, besides the model itself. */
export interface ScoringOptions {
  readonly prompts: TunedPrompts | undefined
  readonly activeAdapter: ActiveAdapter | undefined
  readonly signal: AbortSignal
}

/** Stands where a sequence has ended; under causal attention of no effect on what is before it. */
const PADDING = 0

/** The scores of examples that are computed together, in their order. */
export function scoresOf(
  score: Task['score'],
  model: ScoringModel,
  examples: readonly Example[],
  options: ScoringOptions,
): Promise<Score[]> {
  return score === 'loss' ? lossesOf(model, examples, options) : logitsOf(model, examples, options)
}

async function lossesOf(model: ScoringModel, examples: readonly Example[], options: ScoringOptions): Promise<Score[]> {
  const batch = textBatch(examples, PADDING)
  const hidden = await outputAt(model, batch, batch.rows, options)
  const { losses } = await model.ends.loss(hidden, batch.targets, batch.weights, { gradient: false })
  const sums = examples.map(() => 0)
  for (const [i, row] of batch.rows.entries()) sums[Math.floor(row / batch.tokens)]! += losses[i]! * batch.weights[i]!
  return sums.map((sum) => [sum])
}

async function logitsOf(model: ScoringModel, examples: readonly Example[], options: ScoringOptions): Promise<Score[]> {
  const batch = wholeBatch(examples, PADDING)
  const pooled = examples.map(({ ids }, i) => i * batch.tokens + pooledPosition(ids, model.padTokenId))
  const normed = await model.ends.head(await outputAt(model, batch, pooled, options))
  const score = model.classifier!.score
  const [labels = 0, width = 0] = score.shape
  const weights = asFloat32(score)
  const logits = await linearOf(normed, weights, { rows: examples.length, width, outputs: labels })
  return examples.map((_, i) => [...logits.subarray(i * labels, (i + 1) * labels)])
}

/** The last block's output at some rows, numbered in the batch without prompts: [rows, hidden]. */
async function outputAt(
  { ends, layers }: ScoringModel,
  { ids, size, tokens }: Batch,
  rows: readonly number[],
  { prompts, activeAdapter, signal }: ScoringOptions,
): Promise<Float32Array> {
  const embedded = await ends.embed(ids)
  const width = embedded.shape.at(-1)!
  const words = fromFloat32(asFloat32(embedded), [size, tokens, width])
  const input = prompts === undefined ? words : withPrompts(prompts.before, words)
  const output = await layers.forward(input, { prompts: prompts?.deep, activeAdapter, signal })
  const values = asFloat32(output)
  const positions = input.shape[1]!
  const found = new Float32Array(rows.length * width)
  for (const [i, row] of rows.entries()) {
    const place = Math.floor(row / tokens) * positions + (positions - tokens) + (row % tokens)
    found.set(values.subarray(place * width, (place + 1) * width), i * width)
    await turn()
  }
  return found
}
