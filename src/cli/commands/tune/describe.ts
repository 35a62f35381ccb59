import type { Dataset } from '../../../client/training/data/dataset.ts'
import type { TuneResult } from '../../../client/training/tuning.ts'
import { numElements, type Tensor } from '../../../tensor/tensor.ts'
import type { TuneValues } from './options.ts'

/** What a training has come to. */
export interface TrainingSummary {
  readonly steps: number
  readonly seconds: number
  /** The mean loss of the last steps; absent where none was left to make. */
  readonly loss?: number
  /** The best evaluation, also by a process before this one. */
  readonly best?: { readonly step: number; readonly loss: number }
  readonly parameters: number
  readonly out: string
}

const KINDS: Readonly<Record<string, string>> = {
  lora: 'a LoRA adapter',
  ptune: 'prompts before the text',
  deep_ptune: 'prompts before the text and in each block',
  head: 'the head that predicts tokens',
  classifier: "a classifier's head",
}

/** What will be trained, on what. */
export function describeBeginning(
  { method, window, seed: given }: TuneValues,
  { name, examples, isLabelled, numCut, numDropped }: Dataset,
  parameters: number,
  seed: number,
): string[] {
  const tokens = examples.reduce((sum, { ids }) => sum + ids.length, 0)
  const head = isLabelled && method !== 'classifier' ? " and a classifier's head" : ''
  const drawn = given === undefined ? ' (drawn)' : ''
  return [
    `seed ${seed}${drawn}: training ${KINDS[method]}${head}, ${parameters} parameters, ` +
      `on ${examples.length} sequences of ${name} (${tokens} tokens)`,
    ...(numCut === 0 ? [] : [`${numCut} texts were cut at their end: they have more than ${window} tokens (--window)`]),
    ...(numDropped === 0 ? [] : [`${numDropped} texts were left out: there was nothing to learn in them`]),
  ]
}

/** How many numbers are trained. */
export function countParameters({ prompts, activeAdapter, classifier, head }: TuneResult): number {
  const matrices = (activeAdapter?.modules ?? []).flatMap(({ a, b }) => [a, b])
  const tensors = [prompts?.before, prompts?.deep, ...matrices, classifier?.score, head?.weight, head?.bias]
  return tensors.reduce((sum, tensor) => sum + (tensor === undefined ? 0 : numElements((tensor as Tensor).shape)), 0)
}

/** What was made, where it is, and the command that uses it. */
export function describeEnd(values: TuneValues, result: TuneResult, summary: TrainingSummary): string[] {
  const { steps, seconds, loss, best, out } = summary
  const losses = [
    ...(loss === undefined ? [] : [`loss ${loss.toFixed(4)}`]),
    ...(best === undefined ? [] : [`held-out loss ${best.loss.toFixed(4)} at step ${best.step}, which is kept`]),
  ]
  const flags = [
    ...(result.prompts === undefined ? [] : ['--prompts', out]),
    ...(result.activeAdapter === undefined ? [] : ['--own-adapter', out]),
    ...(result.head === undefined ? [] : ['--head', out]),
    ...(result.classifier === undefined ? [] : ['--classifier', out]),
  ]
  const isClassifier = result.classifier !== undefined
  const use = isClassifier ? ['eval', ...flags, '--data', values.evalData ?? values.data!] : ['generate', ...flags]
  const [name, ...rest] = use as [string, ...string[]]
  const text = isClassifier ? '' : ' --prompt "..."'
  const time = seconds < 100 ? `${seconds.toFixed(1)} s` : `${(seconds / 60).toFixed(1)} min`
  return [
    [
      `done: ${steps} steps${loss === undefined ? '' : ` in ${time}`}`,
      ...(losses.length === 0 ? [] : [losses.join(', ')]),
    ].join('; '),
    `${out} holds the result, and its loss curve (loss.svg, loss.csv). To use it:`,
    `  petals-node ${[name, ...swarmFlags(values), ...rest].map(quoted).join(' ')}${text}`,
    ...(result.activeAdapter === undefined || isClassifier
      ? []
      : [`To let others use it by name: petals-node serve --adapters ${quoted(out)} ...`]),
  ]
}

/** The options that lead to the same model. */
function swarmFlags({ model, bootstrap, swarmKey, dhtPrefix }: TuneValues): string[] {
  return [
    ...(model === undefined ? [] : ['--model', model]),
    ...bootstrap.flatMap((address) => ['--bootstrap', address]),
    ...(swarmKey === undefined ? [] : ['--swarm-key', swarmKey]),
    ...(dhtPrefix === undefined ? [] : ['--dht-prefix', dhtPrefix]),
  ]
}

/** A word for a shell. */
function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`
}
