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

/** The losses of a model, and of what is trained of it, over batches of examples. */
export class BatchLosses {
  readonly #model: BatchModel
  readonly #trained: Trained

  constructor(model: BatchModel, trained: Trained) {
    this.#model = model
    this.#trained = trained
  }

  /** The loss of examples, on a tape. Throws what ends and blocks throw; `signal` ends one that is not trained. */
  of(tape: Tape, examples: readonly Example[], signal?: AbortSignal): Promise<BatchLoss> {
    const { head } = this.#trained
    return head === undefined ? this.#ofTexts(tape, examples, signal) : this.#ofLabels(tape, head, examples, signal)
  }

  async #ofTexts(tape: Tape, examples: readonly Example[], signal: AbortSignal | undefined): Promise<BatchLoss> {
    const { padId, ends } = this.#model
    const batch = textBatch(examples, padId)
    const rows = await this.#blockRows(tape, batch, batch.rows, signal)
    return { sum: await headLoss(tape, ends, rows, batch, headOf(tape, this.#trained)), weight: batch.weight }
  }

  async #ofLabels(
    tape: Tape,
    { score, problemType }: NonNullable<Trained['head']>,
    examples: readonly Example[],
    signal: AbortSignal | undefined,
  ): Promise<BatchLoss> {
    const { padId, padTokenId, ends } = this.#model
    const batch = wholeBatch(examples, padId)
    const pooled = examples.map(({ ids }, i) => i * batch.tokens + pooledPosition(ids, padTokenId))
    const rows = await this.#blockRows(tape, batch, pooled, signal)
    const logits = await linear(tape, await lastNorm(tape, ends, rows), tape.parameter(score))
    return { sum: classifierLoss(tape, logits, batch.labels, problemType), weight: examples.length, logits }
  }

  /** The last block's output at some rows, numbered in the batch without prompts: [rows, hidden]. */
  async #blockRows(
    tape: Tape,
    { ids, size, tokens }: Batch,
    wanted: readonly number[],
    signal: AbortSignal | undefined,
  ): Promise<Variable> {
    const { prompts, lora } = this.#trained
    const embedded = await this.#model.embed(ids)
    const width = embedded.shape.at(-1)!
    const words = tape.constant([size, tokens, width], asFloat32(embedded))
    const input = prompts === undefined ? words : await putBefore(tape, tape.parameter(prompts.before), words)
    const output = await throughBlocks(tape, this.#model.blocks, input, {
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
}

function headOf(tape: Tape, { lmHead }: Trained): HeadVariables | undefined {
  if (lmHead === undefined) return undefined
  return { weight: tape.parameter(lmHead.weight), bias: lmHead.bias && tape.parameter(lmHead.bias) }
}
