import { extname } from 'node:path'
import { UsageError } from '../../base/errors.ts'
import { isJsonObject } from '../../checkpoint/files/json.ts'
import type { Classifier } from '../tuned/classifier.ts'
import type { Dataset } from '../training/data/dataset.ts'
import { type DataModel, type DataSource, loadDataset } from '../training/data/load-dataset.ts'
import { readJsonLines } from '../training/data/read-jsonl.ts'
import { refused } from '../training/data/records.ts'
import { accuracyTask } from './metrics/accuracy.ts'
import { choicesTask, encodeQuestion, parseQuestion } from './metrics/choices.ts'
import { perplexityTask } from './metrics/perplexity.ts'
import type { MetricName, Task } from './task.ts'

/** A file, a list, a running text as `loadDataset` takes them, and questions; or what `loadDataset` gave. */
export type EvaluationData = DataSource | Dataset

/** The model that data are prepared for, and its head, if that tells texts apart. */
export interface TaskModel extends DataModel {
  readonly classifier?: Classifier | undefined
  readonly numLabels?: number | undefined
}

/** How data become tasks. */
export interface TaskOptions {
  /** The most tokens of one sequence, those that are predicted included. */
  readonly window: number
  /** How far windows of a text lie apart. */
  readonly stride: number
  /** The chat template: `model`, `chatml`, `plain` or a file. */
  readonly template?: string | undefined
}

const METRICS: readonly MetricName[] = ['perplexity', 'choices', 'accuracy']

/**
 * The metric of each name on the data; by default the one that the first record is for: choices, accuracy where it has
 * a label, else perplexity. Throws `USAGE` for metrics that are not known or not possible, and as `loadDataset`.
 */
export async function tasksOf(
  model: TaskModel,
  data: EvaluationData,
  metrics: readonly MetricName[] | undefined,
  options: TaskOptions,
): Promise<ReadonlyMap<MetricName, Task>> {
  const unknown = metrics?.find((metric) => !METRICS.includes(metric))
  if (unknown !== undefined)
    throw new UsageError(`metric ${JSON.stringify(unknown)}: expected one of ${METRICS.join(', ')}`)
  const tasks = new Map<MetricName, Task>()
  for (const metric of metrics ?? [await metricOf(data)]) {
    checkModel(model, metric)
    tasks.set(
      metric,
      metric === 'choices' ? await choices(model, data, options) : await ofDataset(model, data, metric, options),
    )
  }
  if (tasks.size === 0) throw new UsageError(`no metric was asked for; there are ${METRICS.join(', ')}`)
  return tasks
}

function checkModel({ numLabels }: TaskModel, metric: MetricName): void {
  if ((metric === 'accuracy') === (numLabels !== undefined)) return
  const kind = metric === 'accuracy' ? 'SequenceClassification' : 'CausalLM'
  throw new UsageError(`${metric} is measured of another kind of model: AutoDistributedModelFor${kind}`)
}

async function metricOf(data: EvaluationData): Promise<MetricName> {
  if (isDataset(data)) return data.isLabelled ? 'accuracy' : 'perplexity'
  for await (const { value } of itemsOf(data)) {
    if (!isJsonObject(value)) break
    if (value['choices'] !== undefined) return 'choices'
    return value['label'] === undefined ? 'perplexity' : 'accuracy'
  }
  return 'perplexity'
}

/** The records of a file of JSON lines or of a list; none of a running text. */
async function* itemsOf(data: DataSource): AsyncGenerator<{ readonly where: string; readonly value: unknown }> {
  if (typeof data === 'string') {
    if (extname(data).toLowerCase() === '.jsonl') yield* readJsonLines(data)
  } else if (Array.isArray(data)) for (const [i, value] of data.entries()) yield { where: `item ${i}`, value }
}

function isDataset(data: EvaluationData): data is Dataset {
  return typeof data === 'object' && 'examples' in data
}

async function ofDataset(
  model: TaskModel,
  data: EvaluationData,
  metric: Exclude<MetricName, 'choices'>,
  { window, stride, template }: TaskOptions,
): Promise<Task> {
  const { classifier } = model
  const labels = metric === 'accuracy' ? classifier?.labels : undefined
  const dataset = isDataset(data)
    ? data
    : await loadDataset(model, data, { maxTokens: window, stride, template, labels })
  if (metric === 'accuracy') return accuracyTask(dataset, classifier)
  if (dataset.isLabelled)
    throw new UsageError(`${dataset.name}: perplexity is of texts without a label: leave the label out of the records`)
  return perplexityTask(dataset)
}

async function choices(model: DataModel, data: EvaluationData, { window }: TaskOptions): Promise<Task> {
  const name = typeof data === 'string' ? data : 'the list'
  if (
    isDataset(data) ||
    (typeof data === 'string' && extname(data).toLowerCase() !== '.jsonl') ||
    'text' in Object(data)
  )
    throw new UsageError(
      'multiple choice needs questions: a .jsonl file, or a list of {"context", "choices", "answer"}',
    )
  const { tokenizer } = model
  const questions = []
  for await (const { where, value } of itemsOf(data)) {
    const question = parseQuestion(value, where)
    if (tokenizer === undefined)
      throw refused(where, `${model.checkpoint.folder} has no tokenizer.json`, 'another model is needed')
    questions.push(await encodeQuestion(tokenizer, question, { window, where }))
  }
  return choicesTask(name, questions)
}
