// Room methods/: what can be trained, how it begins, and what it does to the loss.

import type { ProblemType } from '../../tuned/classifier.ts'
import type { Parameter } from '../parameter.ts'
import type { TrainedLmHead } from './lm-head.ts'
import type { TrainedLora } from './lora.ts'
import type { TrainedPrompts } from './prompts.ts'

/** A classifier's head while it is trained. */
export interface TrainedHead {
  /** [labels, hidden]. */
  readonly score: Parameter
  readonly problemType: ProblemType
}

/** All that is trained at once; the rest of the model stays as it is. */
export interface Trained {
  readonly prompts?: TrainedPrompts | undefined
  readonly lora?: TrainedLora | undefined
  readonly head?: TrainedHead | undefined
  readonly lmHead?: TrainedLmHead | undefined
}

/** The parameters, in an order that does not change. */
export function parametersOf({ prompts, lora, head, lmHead }: Trained): Parameter[] {
  const matrices = (lora?.modules ?? []).flatMap(({ a, b }) => [a, b])
  return [prompts?.before, prompts?.deep, ...matrices, head?.score, lmHead?.weight, lmHead?.bias].filter(
    (each) => each !== undefined,
  )
}

/** The same with other values, by the parameters' names. */
export function withValues(trained: Trained, values: ReadonlyMap<string, Float32Array>): Trained {
  const other = (parameter: Parameter): Parameter => ({ ...parameter, values: values.get(parameter.name)! })
  const { prompts, lora, head, lmHead } = trained
  return {
    prompts: prompts && { before: other(prompts.before), deep: prompts.deep && other(prompts.deep) },
    lora: lora && { ...lora, modules: lora.modules.map(({ name, a, b }) => ({ name, a: other(a), b: other(b) })) },
    head: head && { ...head, score: other(head.score) },
    lmHead: lmHead && { weight: other(lmHead.weight), bias: lmHead.bias && other(lmHead.bias) },
  }
}
