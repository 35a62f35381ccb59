import type { BatchModel } from '../../../src/client/training/batch-loss.ts'
import type { Dataset, Example } from '../../../src/client/training/data/dataset.ts'
import { newScore } from '../../../src/client/training/methods/classifier-head.ts'
import { newPrompts } from '../../../src/client/training/methods/prompts.ts'
import { parameter } from '../../../src/client/training/parameter.ts'
import type { TuningParts } from '../../../src/client/training/running.ts'
import { type TuneOptions, resolveTuneOptions } from '../../../src/client/training/tune-options.ts'
import { fromFloat32 } from '../../../src/tensor/tensor.ts'
import { StandIn, matrix } from './stand-in.ts'

const WIDTH = 3
const VOCAB = 5

/** Both ends and the one block of the stand-in. */
export function toyBatchModel(model = new StandIn()): BatchModel {
  const table = matrix(VOCAB, WIDTH, 1)
  return {
    embed: async (ids) =>
      fromFloat32(Float32Array.from(ids.flatMap((id) => [...table.subarray(id * WIDTH, (id + 1) * WIDTH)])), [
        ids.length,
        WIDTH,
      ]),
    ends: model,
    blocks: model.blocks(),
    padId: 0,
    padTokenId: undefined,
  }
}

/** Sequences of 3 to 8 ids. */
export function toyExamples(count: number, isLabelled = false): Example[] {
  return Array.from({ length: count }, (_, i) => {
    const ids = Int32Array.from({ length: 3 + (i % 6) }, (_, at) => (i * 7 + at * at + 1) % VOCAB)
    const weights = Float32Array.from(ids, (_, at) => (at === 0 || (i + at) % 5 === 0 ? 0 : 1))
    return { ids, weights, ...(isLabelled && { label: ids.at(-1)! % 2 }) }
  })
}

export function toyDataset(examples: readonly Example[] = toyExamples(23)): Dataset {
  return {
    name: 'toys',
    examples,
    isLabelled: examples[0]!.label !== undefined,
    numCut: 0,
    numDropped: 0,
    digest: JSON.stringify(examples.map(({ ids, label }) => [[...ids], label])),
  }
}

/** A tuning of the stand-in. */
export function toyParts(options: TuneOptions, dataset = toyDataset()): TuningParts {
  const resolved = resolveTuneOptions({ learningRate: 0.05, preSeqLen: 2, ...options })
  const config = { hiddenSize: WIDTH, numBlocks: 1, maxLength: 64 }
  return {
    batchModel: toyBatchModel(),
    begin: async (seed) => ({
      ...(options.method.endsWith('ptune') && {
        prompts: await newPrompts(config, {
          preSeqLen: resolved.preSeqLen,
          isDeep: options.method === 'deep_ptune',
          seed,
        }),
      }),
      ...(options.method === 'head' && {
        lmHead: { weight: parameter('lm_head.weight', [VOCAB, WIDTH], matrix(VOCAB, WIDTH, 3)) },
      }),
      ...(dataset.isLabelled && {
        head: {
          score: parameter('score', [2, WIDTH], await newScore({ ...config, raw: {} } as never, 2, seed)),
          problemType: 'single_label_classification' as const,
        },
      }),
    }),
    onChange: async () => undefined,
    dataset,
    options: resolved,
    modelKey: 'toy',
    model: './toy',
  }
}
