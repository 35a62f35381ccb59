import type { ModelConfig } from '../checkpoint/config.ts'
import { attention, type AttentionState } from '../graph/attention.ts'
import { Graph } from '../graph/builder.ts'
import type { AttentionOutputs } from '../graph/group-query-attention.ts'
import { Layers } from '../graph/layers.ts'
import { type AttentionLowering, lowerAttention, type Target } from '../graph/lowering.ts'
import { cast } from '../graph/ops.ts'
import type { BlockInputs } from './family.ts'
import { familyOf } from './index.ts'

/** Heads and channels per head of the keys (and values) that a block caches for each token. */
export interface CacheShape {
  readonly kvHeads: number
  readonly headDim: number
}

/** Throws `GRAPH_UNSUPPORTED` where the target's device cannot compute in its dtype. */
export function cacheShape(config: ModelConfig, target: Target): CacheShape {
  return { kvHeads: config.numKvHeads, headDim: lowerHeads(config, target).cacheHeadDim }
}

/**
 * One block, the same for all blocks of the model: parameters are named relative to the block's prefix.
 * Inputs: `hidden` [rows, tokens, hidden]; `past_key`, `past_value` [rows, kvHeads, capacity, cacheHeadDim];
 * `seqlens_k` int32 [rows], each row's length after the run minus one; `total_sequence_length` int32 [1], the longest
 * row's length after the run; `cos`, `sin` [positions, rotaryDim / 2]; and, where the lowering needs them,
 * `position_ids` int64 [rows, tokens]. Outputs: `output` [rows, tokens, hidden]; `present_key`, `present_value`, for
 * which the past's own memory may be bound. Throws `FamilyError` and `GRAPH_UNSUPPORTED`.
 */
export function buildBlockGraph(config: ModelConfig, target: Target): Graph {
  const family = familyOf(config)
  const lowering = lowerHeads(config, target)
  const graph = new Graph('block')
  const layers = new Layers(graph, target)
  const hidden = graph.input('hidden', target.dtype, ['rows', 'tokens', config.hiddenSize])
  const state = attentionInputs(graph, config, target, lowering)

  const present: AttentionOutputs[] = []
  const attend: BlockInputs['attend'] = (projections) => {
    const heads = { ...config, rotaryDim: config.rope.rotaryDim }
    const outputs = graph.scope('self_attn', () => attention(graph, lowering, heads, projections, state))
    present.push(outputs)
    return outputs.output
  }
  graph.output('output', family.block(layers, config, { hidden, attend }))
  for (const { presentKey, presentValue } of present) {
    graph.output('present_key', presentKey)
    graph.output('present_value', presentValue)
  }
  return graph
}

/**
 * `ids` int64 [rows, tokens] -> `output` [rows, tokens, hidden]; parameters have their full names.
 * Throws `FamilyError` and `GRAPH_UNSUPPORTED`.
 */
export function buildEmbedGraph(config: ModelConfig, target: Target): Graph {
  const graph = new Graph('embed')
  const ids = graph.input('ids', 'int64', ['rows', 'tokens'])
  graph.output('output', familyOf(config).embed(new Layers(graph, target), config, ids))
  return graph
}

/**
 * `hidden` [tokens, hidden] -> `output` float32 [tokens, hidden], after the last norm; parameters have their full names.
 * Throws `FamilyError` and `GRAPH_UNSUPPORTED`.
 */
export function buildNormGraph(config: ModelConfig, target: Target): Graph {
  const graph = new Graph('norm')
  const hidden = graph.input('hidden', target.dtype, ['tokens', config.hiddenSize])
  const normed = familyOf(config).norm(new Layers(graph, target), config, hidden)
  graph.output('output', cast(graph, normed, 'float32', 'to_float32'))
  return graph
}

/**
 * `hidden` [tokens, hidden] -> `logits` float32 [tokens, vocab]; parameters have their full names.
 * Throws `FamilyError` and `GRAPH_UNSUPPORTED`.
 */
export function buildHeadGraph(config: ModelConfig, target: Target): Graph {
  const graph = new Graph('head')
  const hidden = graph.input('hidden', target.dtype, ['tokens', config.hiddenSize])
  const logits = familyOf(config).head(new Layers(graph, target), config, hidden)
  graph.output('logits', cast(graph, logits, 'float32', 'to_float32'))
  return graph
}

function lowerHeads({ headDim, rope }: ModelConfig, target: Target): AttentionLowering {
  return lowerAttention(target, { headDim, rotaryDim: rope.rotaryDim })
}

function attentionInputs(
  graph: Graph, { numKvHeads, rope }: ModelConfig, { dtype }: Target, { cacheHeadDim, rotary }: AttentionLowering,
): AttentionState {
  const cache = ['rows', numKvHeads, 'capacity', cacheHeadDim]
  const table = ['positions', rope.rotaryDim / 2]
  return {
    pastKey: graph.input('past_key', dtype, cache),
    pastValue: graph.input('past_value', dtype, cache),
    seqlensK: graph.input('seqlens_k', 'int32', ['rows']),
    totalSequenceLength: graph.input('total_sequence_length', 'int32', [1]),
    cos: graph.input('cos', dtype, table),
    sin: graph.input('sin', dtype, table),
    positionIds: rotary === 'outside' ? graph.input('position_ids', 'int64', ['rows', 'tokens']) : undefined,
  }
}
