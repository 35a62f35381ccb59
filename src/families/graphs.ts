import type { ModelConfig } from '../checkpoint/config/config.ts'
import type { LayerConfig } from '../checkpoint/config/layer-config.ts'
import { attention, type AttentionState, type ScaledAttentionOutputs } from '../graph/attention.ts'
import { Graph } from '../graph/builder.ts'
import { Layers } from '../graph/layers.ts'
import { type AttentionLowering, lowerAttention, type Target } from '../graph/lowering.ts'
import { cast } from '../graph/ops.ts'
import type { BlockInputs } from './family.ts'
import { familyOf } from './index.ts'
import { ropeInputs } from './input-names.ts'

/** The number of key (and value) heads that a block caches for each token, and the channels of a head. */
export interface KvHeadShape {
  readonly kvHeads: number
  readonly headDim: number
}

/**
 * The shape of a block's KV cache on a target. Throws `GRAPH_UNSUPPORTED` if the device cannot compute in the dtype.
 */
export function cacheShape(config: ModelConfig, target: Target): KvHeadShape {
  return { kvHeads: config.numKvHeads, headDim: lowerHeads(config, target, {}).cacheHeadDim }
}

/**
 * The graphs of blocks `start` to `end`, `end` not included. Equal blocks share one graph. Throws as `buildBlockGraph`.
 */
export function blockGraphs(config: ModelConfig, target: Target, start = 0, end = config.numBlocks): Graph[] {
  return ofEachBlock(config, start, end, (block) => buildBlockGraph(config, target, block))
}

/** What `build` makes of each of blocks `start` to `end`, once for all equal blocks. */
export function ofEachBlock<T>(config: ModelConfig, start: number, end: number, build: (block: number) => T): T[] {
  const built = new Map<string, T>()
  return config.layers.slice(start, end).map((layer, i) => {
    const kind = JSON.stringify([layer.rope, layer.window, layer.sparse])
    const found = built.get(kind) ?? build(start + i)
    built.set(kind, found)
    return found
  })
}

/**
 * The graph of one block. Parameters are named relative to the block's prefix.
 *
 * Inputs:
 * - `hidden` [rows, tokens, hidden]
 * - `past_key`, `past_value` [rows, kvHeads, capacity, cacheHeadDim]: the KV cache
 * - `seqlens_k` int32 [rows]: each row's length after the run, minus one
 * - `total_sequence_length` int32 [1]: the longest row's length after the run
 * - cos and sin [positions, rotaryDim / 2], named by `ropeInputs`, if the block has a rotary embedding
 * - `position_ids` int64 [rows, tokens], if the lowering needs them
 * - `key_scale`, `value_scale` float32 [rows, 1, kvHeads * cacheHeadDim], if the cache is int8
 *
 * Outputs:
 * - `output` [rows, tokens, hidden]
 * - `present_key`, `present_value`: the cache with this run's keys and values; may be bound to the past's memory
 * - `used_key_scale`, `used_value_scale`, if the cache is int8 (see `graph/quantized-cache.ts`)
 *
 * Throws `FamilyError` and `GRAPH_UNSUPPORTED`.
 */
export function buildBlockGraph(config: ModelConfig, target: Target, block: number): Graph {
  const family = familyOf(config)
  const layer = config.layers[block]!
  const lowering = lowerHeads(config, target, layer)
  const graph = new Graph('block')
  const layers = new Layers(graph, { ...target, stored: config.storedQuant })
  const hidden = graph.input('hidden', target.dtype, ['rows', 'tokens', config.hiddenSize])
  const state = attentionInputs(graph, config, target, lowering, layer)

  const present: ScaledAttentionOutputs[] = []
  const attend: BlockInputs['attend'] = (projections, options) => {
    const heads = { ...config, rotaryDim: rotaryDim(config, layer) }
    const outputs = graph.scope('self_attn', () =>
      attention(graph, lowering, heads, projections, state, { ...options, window: layer.window }),
    )
    present.push(outputs)
    return outputs.output
  }
  graph.output('output', family.block(layers, config, { hidden, layer, attend }))
  for (const { presentKey, presentValue, scales } of present) {
    graph.output('present_key', presentKey)
    graph.output('present_value', presentValue)
    if (scales === undefined) continue
    graph.output('used_key_scale', scales.key)
    graph.output('used_value_scale', scales.value)
  }
  return graph
}

/**
 * The embedding's graph: `ids` int64 [rows, tokens] -> `output` [rows, tokens, hidden]. Parameters have their full
 * names. Throws `FamilyError` and `GRAPH_UNSUPPORTED`.
 */
export function buildEmbedGraph(config: ModelConfig, target: Target): Graph {
  const graph = new Graph('embed')
  const ids = graph.input('ids', 'int64', ['rows', 'tokens'])
  graph.output('output', familyOf(config).embed(new Layers(graph, target), config, ids))
  return graph
}

/**
 * The last norm's graph: `hidden` [tokens, hidden] -> `output` float32 [tokens, hidden]. Parameters have their full
 * names. Throws `FamilyError` and `GRAPH_UNSUPPORTED`.
 */
export function buildNormGraph(config: ModelConfig, target: Target): Graph {
  const graph = new Graph('norm')
  const hidden = graph.input('hidden', target.dtype, ['tokens', config.hiddenSize])
  const normed = familyOf(config).norm(new Layers(graph, target), config, hidden)
  graph.output('output', cast(graph, normed, 'float32', 'to_float32'))
  return graph
}

/**
 * The graph of last norm and head: `hidden` [tokens, hidden] -> `logits` float32 [tokens, vocab]. Parameters have their
 * full names. Throws `FamilyError` and `GRAPH_UNSUPPORTED`.
 */
export function buildHeadGraph(config: ModelConfig, target: Target): Graph {
  const graph = new Graph('head')
  const hidden = graph.input('hidden', target.dtype, ['tokens', config.hiddenSize])
  const logits = familyOf(config).head(new Layers(graph, target), config, hidden)
  graph.output('logits', cast(graph, logits, 'float32', 'to_float32'))
  return graph
}

/** How attention of this layer is built for the target. */
function lowerHeads(config: ModelConfig, target: Target, layer: LayerConfig): AttentionLowering {
  return lowerAttention(target, { headDim: config.headDim, rotaryDim: rotaryDim(config, layer) })
}

function rotaryDim({ ropes }: ModelConfig, { rope }: LayerConfig): number {
  return rope === undefined ? 0 : ropes[rope]!.rotaryDim
}

function attentionInputs(
  graph: Graph,
  config: ModelConfig,
  { dtype, kvDType }: Target,
  { form, cacheHeadDim, rotary, windowSlides }: AttentionLowering,
  layer: LayerConfig,
): AttentionState {
  const cache = ['rows', config.numKvHeads, 'capacity', cacheHeadDim]
  const scales = ['rows', 1, config.numKvHeads * cacheHeadDim]
  const table = ['positions', rotaryDim(config, layer) / 2]
  const names = layer.rope === undefined ? undefined : ropeInputs(layer.rope)
  // In a window that slides, a token's slot in the cache is not its position.
  const needsPositions = names !== undefined && (rotary === 'outside' || (windowSlides && layer.window !== undefined))
  return {
    pastKey: graph.input('past_key', kvDType ?? dtype, cache),
    pastValue: graph.input('past_value', kvDType ?? dtype, cache),
    scales: kvDType && {
      key: graph.input('key_scale', 'float32', scales),
      value: graph.input('value_scale', 'float32', scales),
    },
    seqlensK: graph.input('seqlens_k', 'int32', ['rows']),
    totalSequenceLength: graph.input('total_sequence_length', 'int32', [1]),
    rotary: names && { cos: graph.input(names.cos, dtype, table), sin: graph.input(names.sin, dtype, table) },
    positionIds:
      needsPositions || form === 'Primitives' ? graph.input('position_ids', 'int64', ['rows', 'tokens']) : undefined,
  }
}
