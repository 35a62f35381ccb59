import { UsageError } from '../../base/errors.ts'
import type { EndsOutput } from '../../engine/loading/ends-output.ts'
import { type Tensor, asFloat32, fromFloat32 } from '../../tensor/tensor.ts'
import { type EvaluateOptions, type EvaluationResult, evaluate } from '../evaluation/evaluate.ts'
import type { EvaluationData } from '../evaluation/tasks.ts'
import { linearOf } from '../training/arithmetic.ts'
import { type Classifier, pooledPosition } from '../tuned/classifier.ts'
import { DistributedModel } from './distributed-model.ts'
import type { PretrainedParts } from './pretrained.ts'

const NUM_LABELS = 2

/**
 * A model that tells texts apart: in place of the head that predicts tokens it has one of its own, which was trained
 * before (`classifier` of `fromPretrained`) or is trained (`tune`). Each text is judged at its last token, as
 * transformers has it. The model's own head is not loaded.
 */
export class AutoDistributedModelForSequenceClassification extends DistributedModel {
  static readonly output: EndsOutput = 'hidden'

  readonly numLabels: number
  /** The trained head; undefined before there is one. */
  readonly classifier: Classifier | undefined
  readonly #padTokenId: number | undefined

  /** Called by `fromPretrained`. */
  constructor(parts: PretrainedParts) {
    super(parts)
    const { classifier = NUM_LABELS } = parts
    this.classifier = typeof classifier === 'number' ? undefined : classifier
    this.numLabels = typeof classifier === 'number' ? classifier : classifier.score.shape[0]!
    const { pad_token_id: padTokenId } = this.checkpoint.config.raw
    this.#padTokenId = typeof padTokenId === 'number' ? padTokenId : undefined
  }

  /** Measures how often the trained head is right on texts with labels. Throws as `evaluate`. */
  evaluate(data: EvaluationData, options?: EvaluateOptions): Promise<EvaluationResult> {
    return evaluate(this, data, options)
  }

  /**
   * The logits of sequences, token ids of any lengths: float32 [batch, labels]. Throws `USAGE` without a trained head,
   * and as `DistributedModel.forward`.
   */
  async classify(batch: readonly (readonly number[])[]): Promise<Tensor> {
    const { classifier } = this
    if (classifier === undefined)
      throw new UsageError('this model has no trained head yet: tune it, or open it with a classifier')
    const tokens = Math.max(0, ...batch.map(({ length }) => length))
    // Under causal attention what follows the last token does not matter.
    const padded = batch.map((ids) => [...ids, ...Array.from({ length: tokens - ids.length }, () => ids[0] ?? -1)])
    const hidden = asFloat32(await this.forward(padded))
    const { hiddenSize } = this.ends
    const score = asFloat32(classifier.score)
    const pooled = new Float32Array(batch.length * hiddenSize)
    for (const [i, ids] of batch.entries()) {
      const from = (i * tokens + pooledPosition(ids, this.#padTokenId)) * hiddenSize
      pooled.set(hidden.subarray(from, from + hiddenSize), i * hiddenSize)
    }
    const sizes = { rows: batch.length, width: hiddenSize, outputs: this.numLabels }
    return fromFloat32(await linearOf(pooled, score, sizes), [batch.length, this.numLabels])
  }
}
