import type { Graph } from './builder.ts'
import type {
  AttentionOutputs,
  GroupQueryAttentionInputs,
  GroupQueryAttentionOptions,
} from './group-query-attention.ts'
import { GraphError } from './errors.ts'
import { add, cast, mul, reshape, softcap, sub } from './ops.ts'
import {
  and,
  div,
  exp,
  filled,
  indicesOfAxis,
  largest,
  largestOfAxis,
  less,
  lessOrEqual,
  matMul,
  scatterElements,
  softmax,
  sumOfAxis,
  transpose,
  where,
} from './primitive-ops.ts'
import type { Value } from './value.ts'

/**
 * The score of a masked position: far below any real score, but finite, since a row of only -Infinity would be divided
 * by zero.
 */
export const MASKED = -1e30

/**
 * Adds causal attention over a preallocated KV cache in ONNX's own operators, float32 only: for devices without the
 * fused operator. Queries and keys must have been rotated. What the cache holds beyond a row's length has no effect,
 * even if it is NaN.
 */
export function primitiveAttention(
  g: Graph,
  inputs: GroupQueryAttentionInputs,
  options: GroupQueryAttentionOptions,
  name: string,
): AttentionOutputs {
  const { numHeads, numKvHeads, headDim, scale } = options
  const { query, key, value, pastKey, pastValue, seqlensK, positionIds, slots, bias, sinks } = inputs
  if (positionIds === undefined)
    throw new GraphError('GRAPH_VALUE', `node ${g.nodeName(name)}`, 'attention in primitives takes position_ids')
  return g.scope(name, () => {
    const [rows = 1, tokens = 1] = positionIds.shape
    const group = numHeads / numKvHeads
    const capacity = pastKey.shape[2] ?? 1

    const places = add(
      g,
      reshape(g, positionIds, [rows, 1, tokens, 1], 'positions'),
      filled(g, 'spread', 'int64', [1, numKvHeads, 1, headDim], 0),
      'places',
    )
    const append = (past: Value, x: Value, part: string) =>
      g.scope(part, () => {
        const heads = transpose(
          g,
          reshape(g, x, [rows, tokens, numKvHeads, headDim], 'split_heads'),
          [0, 2, 1, 3],
          'heads_first',
        )
        return scatterElements(g, past, places, heads, 2, 'append')
      })
    const presentKey = append(pastKey, key, 'key')
    const presentValue = append(pastValue, value, 'value')

    const columns = slots ?? indicesOfAxis(g, pastKey, 2, 'columns')
    const lastPosition = reshape(g, cast(g, seqlensK, 'int64', 'last_position'), [rows, 1, 1, 1], 'last_positions')
    const isFilled = lessOrEqual(g, reshape(g, columns, [capacity, 1], 'column'), lastPosition, 'is_filled')
    const ownColumn = reshape(g, positionIds, [rows, 1, 1, tokens, 1], 'query_positions')
    const isVisible = visible(g, columns, ownColumn, options.window)

    const queries = transpose(
      g,
      reshape(g, query, [rows, tokens, numKvHeads, group, headDim], 'split_heads'),
      [0, 2, 3, 1, 4],
      'queries',
    )
    const keys = reshape(
      g,
      transpose(g, presentKey, [0, 1, 3, 2], 'keys_transposed'),
      [rows, numKvHeads, 1, headDim, capacity],
      'keys',
    )
    const scaled = mul(g, matMul(g, queries, keys, 'scores'), filled(g, 'scale', 'float32', [1], scale), 'scaled')
    const capped = options.softcap === undefined ? scaled : softcap(g, scaled, options.softcap, 'softcap')
    const scores =
      bias === undefined
        ? capped
        : add(g, capped, reshape(g, bias, [numKvHeads, group, 1, capacity], 'head_bias'), 'biased')
    const masked = where(g, isVisible, scores, filled(g, 'masked', 'float32', [1], MASKED), 'masked_scores')
    const weights =
      sinks === undefined
        ? softmax(g, masked, 'weights')
        : softmaxBeside(g, masked, reshape(g, sinks, [numKvHeads, group, 1, 1], 'head_sinks'), 'weights')
    const clean = where(g, isFilled, presentValue, filled(g, 'zero', 'float32', [1], 0), 'filled_values')
    const mixed = matMul(g, weights, reshape(g, clean, [rows, numKvHeads, 1, capacity, headDim], 'values'), 'mixed')
    const output = reshape(
      g,
      transpose(g, mixed, [0, 3, 1, 2, 4], 'tokens_first'),
      [rows, tokens, numHeads * headDim],
      'output',
    )
    return { output, presentKey, presentValue }
  })
}

/** softmax along the last axis as if each row had one score more, `other`, whose share is left out. */
function softmaxBeside(g: Graph, scores: Value, other: Value, name: string): Value {
  return g.scope(name, () => {
    const peak = largest(g, largestOfAxis(g, scores, scores.shape.length - 1, 'largest_score'), other, 'peak')
    const parts = exp(g, sub(g, scores, peak, 'below_peak'), 'parts')
    const total = sumOfAxis(g, parts, scores.shape.length - 1, 'total')
    return div(g, parts, add(g, total, exp(g, sub(g, other, peak, 'other_below_peak'), 'other'), 'whole'), 'shares')
  })
}

/** Which columns of keys a token attends to: those up to its own, and within the window if there is one. */
export function visible(g: Graph, columns: Value, ownColumn: Value, window: number | undefined): Value {
  const isPast = lessOrEqual(g, columns, ownColumn, 'is_past')
  if (window === undefined) return isPast
  const before = sub(g, ownColumn, filled(g, 'window', 'int64', [1], window), 'before_window')
  return and(g, isPast, less(g, before, columns, 'is_in_window'), 'is_visible')
}
