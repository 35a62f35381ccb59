import { UsageError } from '../../base/errors.ts'
import type { Adapter } from '../../checkpoint/adapter/adapter.ts'
import type { Classifier } from '../tuned/classifier.ts'
import type { TunedHead } from '../tuned/tuned-head.ts'
import type { TunedPrompts } from '../tuned/tuned-prompts.ts'
import type { Dataset } from './data/dataset.ts'
import { lmHeadNow } from './methods/lm-head.ts'
import { adapterNow } from './methods/lora.ts'
import { promptsNow } from './methods/prompts.ts'
import { valuesNow } from './parameter.ts'
import { saveClassifier } from './results/classifier-folder.ts'
import { saveHead } from './results/head-folder.ts'
import { onDisk } from './results/on-disk.ts'
import { saveLora } from './results/peft-folder.ts'
import { savePrompts } from './results/prompts-folder.ts'
import { Running, type TuneStep, type TuningParts } from './running.ts'

/** What a training has made: options of `fromPretrained`. */
export interface TuneResult {
  readonly prompts?: TunedPrompts | undefined
  readonly activeAdapter?: Adapter | undefined
  readonly classifier?: Classifier | undefined
  readonly head?: TunedHead | undefined
}

/**
 * A training: iterate over its steps, each of which is made when it is asked for. Whoever breaks off keeps what was
 * trained so far. A training with a checkpoint goes on where the last one ended.
 */
export class Tuning implements AsyncIterable<TuneStep> {
  readonly #parts: TuningParts
  #running: Promise<Running> | undefined
  #isIterated = false

  /** Called by `tune`. */
  constructor(parts: TuningParts) {
    this.#parts = parts
  }

  /** The seed from which all draws follow. Throws as the iterator. */
  async seed(): Promise<number> {
    return (await this.#begun()).seed
  }

  /** How many steps were made, also by those before that this training goes on from. Throws as the iterator. */
  async step(): Promise<number> {
    return (await this.#begun()).step
  }

  /**
   * Makes the steps that are left. Throws `TUNE_CHECKPOINT` for a checkpoint of another training, `TUNE_DIVERGED`,
   * `USAGE` where it was iterated before, the signal's reason, and what passes through the blocks throw.
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<TuneStep, void> {
    if (this.#isIterated) throw new UsageError('this training was iterated before: call tune again')
    this.#isIterated = true
    const run = await this.#begun()
    const { steps, signal } = this.#parts.options
    try {
      while (run.step < steps) {
        signal?.throwIfAborted()
        yield await run.next()
      }
    } finally {
      await run.keep()
    }
  }

  /** The best evaluation of the steps so far, also of those that were made before. Throws as the iterator. */
  async best(): Promise<{ readonly step: number; readonly loss: number } | undefined> {
    return (await this.#begun()).bestEvaluation
  }

  /**
   * The mean loss on a data set, by default that of the options, with what is trained as it is now. Throws as the
   * iterator, and the reason of its own signal.
   */
  async evaluate(
    dataset: Dataset | undefined = this.#parts.options.evaluation,
    { signal = this.#parts.options.signal }: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<number> {
    if (dataset === undefined) throw new UsageError('there is nothing to evaluate on: give a data set')
    const { batchSize } = this.#parts.options
    return (await (await this.#begun()).trainer.evaluate(dataset.examples, batchSize, signal)).loss
  }

  /** A copy of what was trained: as it was at the best evaluation, or without one as it is now. */
  async result(): Promise<TuneResult> {
    const { prompts, lora, head, lmHead } = (await this.#begun()).best()
    const { modelKey, dataset } = this.#parts
    return {
      ...(prompts !== undefined && { prompts: await promptsNow(prompts, modelKey) }),
      ...(lora !== undefined && { activeAdapter: await adapterNow(lora, 'tuned') }),
      ...(lmHead !== undefined && { head: await lmHeadNow(lmHead, modelKey) }),
      ...(head !== undefined && {
        classifier: {
          score: await valuesNow(head.score),
          problemType: head.problemType,
          modelKey,
          ...(dataset.labels !== undefined && { labels: dataset.labels }),
        },
      }),
    }
  }

  /**
   * Writes what `result` gives into a folder: prompts for `loadPrompts`, an adapter as PEFT saves one (`loadAdapter`,
   * `serve --adapters`), a head for `loadClassifier` or `loadHead`. Throws `TUNE_DISK`.
   */
  async save(folder: string): Promise<void> {
    await onDisk(folder, () => this.#save(folder))
  }

  async #save(folder: string): Promise<void> {
    const { prompts, classifier, head } = await this.result()
    const { lora } = (await this.#begun()).best()
    if (prompts !== undefined) await savePrompts(folder, prompts)
    if (classifier !== undefined) await saveClassifier(folder, classifier)
    if (head !== undefined) await saveHead(folder, head)
    if (lora === undefined) return
    const taskType = classifier === undefined ? 'CAUSAL_LM' : null
    await saveLora(folder, lora, { model: this.#parts.model, taskType })
  }

  #begun(): Promise<Running> {
    this.#running ??= Running.begin(this.#parts)
    return this.#running
  }
}
