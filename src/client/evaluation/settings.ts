import { createHash, randomUUID } from 'node:crypto'
import { AdapterDigest } from '../../checkpoint/adapter/adapter-digest.ts'
import type { Adapter } from '../../checkpoint/adapter/adapter.ts'
import { readRows } from '../../checkpoint/weights/read.ts'
import type { TensorSlice } from '../../checkpoint/weights/safetensors.ts'
import type { Tensor } from '../../tensor/tensor.ts'
import type { Classifier } from '../tuned/classifier.ts'
import type { TunedHead } from '../tuned/tuned-head.ts'
import type { TunedPrompts } from '../tuned/tuned-prompts.ts'
import type { ActiveAdapter } from '../remote/adapters/active-adapter.ts'
import { AdapterVersions } from '../remote/adapters/adapter-versions.ts'
import { digestOf } from '../training/data/dataset.ts'
import { turn } from '../../base/pace.ts'
import type { EvaluationSettings } from './kept-scores.ts'
import type { MetricName, Task } from './task.ts'

/** What an evaluation is made of. */
export interface EvaluationParts {
  readonly modelKey: string
  readonly tasks: ReadonlyMap<MetricName, Task>
  readonly batchTokens: number
  readonly prompts: TunedPrompts | undefined
  readonly activeAdapter: ActiveAdapter | undefined
  readonly classifier: Classifier | undefined
  readonly head: TunedHead | undefined
}

/** Bytes that are hashed before the time is looked at: about a millisecond. */
const PIECE_BYTES = 1 << 20

/** Equal for evaluations that give the same numbers. */
export async function settingsOf(parts: EvaluationParts): Promise<EvaluationSettings> {
  const { modelKey, tasks, batchTokens, prompts, activeAdapter, classifier, head } = parts
  const examples = await Promise.all([...tasks.values()].map((task) => digestOf(task.examples)))
  return {
    model: modelKey,
    metrics: [...tasks.keys()].join(', '),
    data: await hashOf(examples.map((digest) => Buffer.from(digest))),
    batchTokens,
    prompts: await hashOf([prompts?.before, prompts?.deep].flatMap((each) => each?.data ?? [])),
    adapter: await adapterName(activeAdapter),
    classifier: await hashOf(classifier === undefined ? [] : [classifier.score.data]),
    head: await hashOf([head?.weight, head?.bias].flatMap((each) => each?.data ?? [])),
  }
}

async function hashOf(parts: readonly Uint8Array[]): Promise<string> {
  if (parts.length === 0) return 'none'
  const hash = createHash('sha256')
  for (const part of parts)
    for (let from = 0; from < part.byteLength; from += PIECE_BYTES) {
      hash.update(part.subarray(from, from + PIECE_BYTES))
      await turn()
    }
  return hash.digest('hex').slice(0, 16)
}

async function adapterName(adapter: ActiveAdapter | undefined): Promise<string> {
  if (adapter === undefined || typeof adapter === 'string') return adapter ?? 'none'
  // One that changes is never the same again.
  if (adapter instanceof AdapterVersions) return randomUUID()
  return nameOf(adapter)
}

async function nameOf({ modules }: Adapter): Promise<string> {
  const digest = new AdapterDigest()
  for (const { name, scaling, a, b } of modules)
    digest.add({ name, scaling, a: await inMemory(a), b: await inMemory(b) })
  return digest.name()
}

async function inMemory(matrix: TensorSlice | Tensor): Promise<Tensor> {
  if (!('file' in matrix)) return matrix
  return {
    dtype: matrix.dtype as Tensor['dtype'],
    shape: matrix.shape,
    data: await readRows(matrix, 0, matrix.shape[0]!),
  }
}
