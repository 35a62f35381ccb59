import type { ModelConfig } from '../../checkpoint/config/config.ts'
import { type TrainingGraphs, type TrainingTarget, trainingGraphs } from '../../families/graphs/training-graphs.ts'
import { TrainingSizes } from './training-sizes.ts'

/** Small models: room for whole batches and all of their weights. */
const MIN_BYTES = 256 << 20

/** The share of the memory that training may take where nobody says, and the sequence that it should take then. */
const MEMORY_SHARE = 1 / 8
const WANTED_TOKENS = 1024

/** Where not even such a sequence has room, training is not worth it. */
const MIN_TOKENS = 64

/** Weights of other blocks than the one that is being computed are kept within this share of it. */
const PINNED_SHARE = 1 / 2

/** How the memory for training on a span is shared out. */
export interface TrainingPlan {
  readonly sizes: TrainingSizes
  /** What weights of blocks may take that are not read again each time. */
  readonly pinnedBytes: number
  /** What one backward pass may take at a time, without weights. */
  readonly activationBytes: number
  /** The most tokens that a sequence may have; 0: there is not enough memory for any. */
  readonly maxTokens: number
}

/** Whether spans of this kind can compute gradients: none has been on a GPU yet. */
export function canTrain({ device, dtype }: Pick<TrainingTarget, 'device' | 'dtype'>): boolean {
  return device === 'cpu' && dtype === 'float32'
}

/**
 * Shares out so many bytes between weights and results of blocks `start` to `end`; `pieceTokens` are what a run has at
 * most. Throws `FamilyError` and `GRAPH_UNSUPPORTED`.
 */
export function planTraining(
  config: ModelConfig,
  target: TrainingTarget,
  { start, end, bytes, pieceTokens }: { start: number; end: number; bytes: number; pieceTokens: number },
): TrainingPlan {
  const sizes = new TrainingSizes(graphsOf(config, target).slice(start, end), config.hiddenSize, pieceTokens)
  const wanted = sizes.blockBytes + sizes.sequenceBytes(end - start, Math.min(WANTED_TOKENS, config.maxLength))
  const others = Math.max(0, Math.min(sizes.weightBytes - sizes.blockBytes, PINNED_SHARE * bytes, bytes - wanted))
  const activationBytes = bytes - sizes.blockBytes - others
  const maxTokens = sizes.longestSequence(end - start, activationBytes, config.maxLength)
  return { sizes, pinnedBytes: others, activationBytes, maxTokens }
}

/**
 * What training may take of a machine's memory where nobody says: enough for sequences of some length, no more than
 * a small share; 0 where that is too little. Throws as `planTraining`.
 */
export function defaultTrainingBytes(config: ModelConfig, target: TrainingTarget, memoryBytes: number): number {
  if (!canTrain(target)) return 0
  const sizes = new TrainingSizes(graphsOf(config, target), config.hiddenSize, 1)
  const bytesFor = (tokens: number) => sizes.blockBytes + sizes.sequenceBytes(config.numBlocks, tokens)
  const wanted = Math.max(MIN_BYTES, bytesFor(Math.min(WANTED_TOKENS, config.maxLength)))
  const bytes = Math.floor(Math.min(wanted, MEMORY_SHARE * memoryBytes))
  return bytes < bytesFor(Math.min(MIN_TOKENS, config.maxLength)) ? 0 : bytes
}

const built = new WeakMap<ModelConfig, Map<string, TrainingGraphs[]>>()

/** Of all blocks, built once: a server asks for its size, and its engine again. */
function graphsOf(config: ModelConfig, { device, dtype, quant }: TrainingTarget): TrainingGraphs[] {
  // With adapters there is a little more of everything.
  const target = { device, dtype, quant, adapters: true }
  const ofModel = built.get(config) ?? new Map<string, TrainingGraphs[]>()
  built.set(config, ofModel)
  const key = JSON.stringify(target)
  const graphs = ofModel.get(key) ?? trainingGraphs(config, target)
  ofModel.set(key, graphs)
  return graphs
}
