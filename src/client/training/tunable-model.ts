import type { Checkpoint } from '../../checkpoint/checkpoint.ts'
import type { HeadWeights } from '../../engine/ends/head-weights.ts'
import type { Tensor } from '../../tensor/tensor.ts'
import type { Classifier } from '../tuned/classifier.ts'
import type { TunedPrompts } from '../tuned/tuned-prompts.ts'
import type { ActiveAdapter } from '../remote/adapters/active-adapter.ts'
import type { BatchModel } from './batch-loss.ts'
import type { DataModel } from './data/load-dataset.ts'
import type { TrainingLayers } from './swarm-blocks.ts'
import type { Blocks } from './tape/blocks.ts'
import type { LossEnds, NormEnds } from './tape/ends.ts'

/** The part of a distributed model that training uses. */
export interface TunableModel extends DataModel {
  readonly checkpoint: Checkpoint
  readonly ends: LossEnds &
    NormEnds & { embed(ids: readonly number[]): Promise<Tensor>; headWeights(): Promise<HeadWeights> }
  readonly layers: TrainingLayers
  readonly swarm: { readonly modelKey: string }
  readonly prompts: TunedPrompts | undefined
  readonly activeAdapter?: ActiveAdapter | undefined
  /** Of a model that tells texts apart. */
  readonly numLabels?: number | undefined
  readonly classifier?: Classifier | undefined
}

/** The model's ends around its blocks, for batches. */
export function batchModelOf({ checkpoint, ends }: TunableModel, blocks: Blocks): BatchModel {
  const padTokenId = checkpoint.config.raw['pad_token_id']
  return {
    embed: (ids) => ends.embed(ids),
    ends,
    blocks,
    padId: 0,
    padTokenId: typeof padTokenId === 'number' ? padTokenId : undefined,
  }
}
