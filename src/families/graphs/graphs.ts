import type { ModelConfig } from '../../checkpoint/config/config.ts'
import type { LayerConfig } from '../../checkpoint/config/layer-config.ts'
import { attention, type AttentionState, type Projections, type ScaledAttentionOutputs } from '../../graph/attention.ts'
import { attentionByRows } from '../../graph/attention-by-rows.ts'
import { Graph } from '../../graph/builder.ts'
import { Layers } from '../../graph/layers.ts'
import { type AttentionLowering, lowerAttention, type Target } from '../../graph/lowering.ts'
import { cast, reshape, splitAxis } from '../../graph/ops.ts'
import type { Dim, Value } from '../../graph/value.ts'
import type { BlockInputs } from '../parts/family.ts'
import { familyOf } from '../models/index.ts'
import { ofRow, ropeInputs } from './input-names.ts'

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
 * - `prompts` [rows, tokens, hidden]: deep prompts, which are added to `hidden`, if the target says so
 * - `slots` int64 [capacity], the numbers from 0 on, if the lowering takes them instead of counting them itself
 *
 * Where each row has a cache of its own, `past_key` and what else is the row's comes once for each row, named by
 * `ofRow`, with one row in it, and there is one token or one row. `seqlens_k` still holds all rows, whose positions it
 * gives where there are several.
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
  const { ownRows } = target
  const hidden = graph.input('hidden', target.dtype, [...batchShape(target), config.hiddenSize])
  const shared = sharedInputs(graph, config, target, lowering, layer)
  const states = Array.from({ length: ownRows ?? 1 }, (_, row) =>
    rowInputs(graph, config, target, lowering, shared, ownRows === undefined ? undefined : row),
  )

  const present: ScaledAttentionOutputs[] = []
  const attend: BlockInputs['attend'] = (projections, options) =>
    graph.scope('self_attn', () => {
      const heads = { ...config, rotaryDim: rotaryDim(config, layer) }
      const attendRow = (own: Projections, row: number) =>
        attention(graph, lowering, heads, own, states[row]!, { ...options, window: layer.window })
      if (ownRows !== undefined) {
        const attended = attentionByRows(graph, projections, ownRows, attendRow)
        present.push(...attended.rows)
        return attended.output
      }
      const outputs = attendRow(projections, 0)
      present.push(outputs)
      return outputs.output
    })
  const prompted =
    target.prompted === true
      ? layers.add(hidden, graph.input('prompts', target.dtype, hidden.shape), 'prompted')
      : hidden
  graph.output('output', family.block(layers, config, { hidden: prompted, layer, attend }))
  for (const [row, { presentKey, presentValue, scales }] of present.entries()) {
    graph.output(ownRows === undefined ? 'present_key' : ofRow('present_key', row), presentKey)
    graph.output(ownRows === undefined ? 'present_value' : ofRow('present_value', row), presentValue)
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
  const softcapped = familyOf(config).softcapped?.(config)
  return lowerAttention(target, { headDim: config.headDim, rotaryDim: rotaryDim(config, layer), softcapped })
}

function rotaryDim({ ropes }: ModelConfig, { rope }: LayerConfig): number {
  return rope === undefined ? 0 : ropes[rope]!.rotaryDim
}

/** Rows and tokens of a run: several rows that have caches of their own are one token each. */
function batchShape({ ownRows }: Target): Dim[] {
  if (ownRows === undefined) return ['rows', 'tokens']
  return [ownRows, ownRows === 1 ? 'tokens' : 1]
}

/** What attention takes that is the same for all rows, or holds them all. */
interface SharedInputs extends Pick<AttentionState, 'rotary'> {
  readonly seqlensK: readonly Value[]
  /** Undefined where it is not needed. */
  readonly positionIds: readonly Value[] | undefined
}

function sharedInputs(
  graph: Graph,
  config: ModelConfig,
  target: Target,
  { form, rotary, windowSlides }: AttentionLowering,
  layer: LayerConfig,
): SharedInputs {
  const table = ['positions', rotaryDim(config, layer) / 2]
  const names = layer.rope === undefined ? undefined : ropeInputs(layer.rope)
  // In a window that slides, a token's slot in the cache is not its position.
  const needsPositions = names !== undefined && (rotary === 'outside' || (windowSlides && layer.window !== undefined))
  const [rows = 1, tokens = 1] = batchShape(target)
  const lengths = graph.input('seqlens_k', 'int32', [rows])
  const isApart = typeof rows === 'number' && rows > 1
  const seqlensK = isApart ? splitAxis(graph, lengths, 0, Array<number>(rows).fill(1), 'lengths_of_rows') : [lengths]
  const positionIds = (): Value[] => {
    if (!isApart) return [graph.input('position_ids', 'int64', [rows, tokens])]
    // The one token of a row stands at its end.
    return seqlensK.map((last, row) =>
      reshape(graph, cast(graph, last, 'int64', `last_${row}`), [1, 1], `position_${row}`),
    )
  }
  return {
    seqlensK,
    rotary: names && {
      cos: graph.input(names.cos, target.dtype, table),
      sin: graph.input(names.sin, target.dtype, table),
    },
    positionIds: needsPositions || form === 'Primitives' ? positionIds() : undefined,
  }
}

/** What one row takes, or, where `row` is undefined, all rows together. */
function rowInputs(
  graph: Graph,
  config: ModelConfig,
  { dtype, kvDType, device }: Target,
  { form, cacheHeadDim }: AttentionLowering,
  { seqlensK, rotary, positionIds }: SharedInputs,
  row: number | undefined,
): AttentionState {
  const own = (name: string) => (row === undefined ? name : ofRow(name, row))
  const rows = row === undefined ? 'rows' : 1
  const capacity = own('capacity')
  const cache = [rows, config.numKvHeads, capacity, cacheHeadDim]
  const scales = [rows, 1, config.numKvHeads * cacheHeadDim]
  return {
    pastKey: graph.input(own('past_key'), kvDType ?? dtype, cache),
    pastValue: graph.input(own('past_value'), kvDType ?? dtype, cache),
    scales: kvDType && {
      key: graph.input('key_scale', 'float32', scales),
      value: graph.input('value_scale', 'float32', scales),
    },
    seqlensK: seqlensK[row ?? 0]!,
    totalSequenceLength: graph.input(own('total_sequence_length'), 'int32', [1]),
    rotary,
    positionIds: positionIds?.[row ?? 0],
    slots: device === 'webgpu' && form === 'Primitives' ? graph.input(own('slots'), 'int64', [capacity]) : undefined,
  }
}
