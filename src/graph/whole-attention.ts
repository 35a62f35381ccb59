import type { AttentionOptions, Heads, Projections } from './attention.ts'
import type { Graph } from './builder.ts'
import { fusedMatMul } from './matrix-ops.ts'
import { add, cast, mul, reshape, softcap } from './ops.ts'
import { MASKED, visible } from './primitive-attention.ts'
import { append, filled, indicesOfAxis, matMul, softmax, transpose, where } from './primitive-ops.ts'
import { rotaryEmbedding } from './rotary-op.ts'
import type { Angles } from './rotary-pairs.ts'
import { productOf } from './shapes.ts'
import type { Value } from './value.ts'

/**
 * Adds causal grouped-query attention over whole sequences, which begin at position 0, without a cache, of operators
 * that have gradients: [rows, tokens, numHeads * valueDim]. `rotary` has cos and sin of each position, [tokens,
 * rotaryDim / 2]. What follows a sequence in its row has no effect on it, so rows padded on the right need no mask.
 *
 * Queries that share keys are rows of one matrix, [rows, numKvHeads, tokens * group, headDim]: nothing of keys and
 * values is repeated, and their gradients need no sum over the group. Masks, biases and sinks are one tensor, made once
 * for all rows and added to the scores in one pass, through which gradients go as they are.
 */
export function wholeAttention(
  g: Graph,
  { numHeads, numKvHeads, headDim }: Heads,
  { query, key, value }: Projections,
  rotary: Angles | undefined,
  options: AttentionOptions,
): Value {
  const { scale = 1 / Math.sqrt(headDim), interleaved = false, sinks, valueDim = headDim } = options
  const [rows = 1, tokens = 1] = query.shape
  const group = numHeads / numKvHeads,
    stacked = productOf([tokens, group])
  const turned = (x: Value, count: number) =>
    rotary === undefined ? x : rotaryEmbedding(g, x, rotary, { numHeads: count, interleaved }, 'rotate')
  /** A key of zeros scores 0, to which the sink is added; its value of zeros takes part in nothing. */
  const orSink = (x: Value) => (sinks === undefined ? x : append(g, x, 2, 1, 0, 'beside_sink'))
  const headsFirst = (x: Value, dim: number) => {
    const heads = reshape(g, x, [rows, tokens, numKvHeads, dim], 'split_heads')
    return orSink(transpose(g, heads, [0, 2, 1, 3], 'heads_first'))
  }

  const queries = g.scope('query', () => {
    const heads = reshape(g, turned(query, numHeads), [rows, tokens, numKvHeads, group, headDim], 'groups')
    const first = transpose(g, heads, [0, 2, 3, 1, 4], 'heads_first')
    return reshape(g, first, [rows, numKvHeads, stacked, headDim], 'rows_of_groups')
  })
  const keys = g.scope('key', () => headsFirst(turned(key, numKvHeads), headDim))
  const values = g.scope('value', () => headsFirst(value, valueDim))

  const scores = fusedMatMul(g, queries, keys, { transB: true, alpha: scale }, 'scores')
  const capped = options.softcap === undefined ? scores : softcap(g, scores, options.softcap, 'softcap')
  const added = g.scope('added', () => addedToScores(g, query, numKvHeads, group, options))
  const weights = softmax(g, add(g, capped, added, 'masked_scores'), 'weights')
  const mixed = matMul(g, weights, values, 'mixed')
  const apart = reshape(g, mixed, [rows, numKvHeads, group, tokens, valueDim], 'groups_of_rows')
  return reshape(
    g,
    transpose(g, apart, [0, 3, 1, 2, 4], 'tokens_first'),
    [rows, tokens, numHeads * valueDim],
    'attended',
  )
}

/**
 * What is added to the scores of each row of the batch, [1, numKvHeads or 1, tokens * group, tokens, or one more with a
 * sink]: far below zero where a token must not look, the bias, and in the last column the sink.
 */
function addedToScores(
  g: Graph,
  query: Value,
  numKvHeads: number,
  group: number,
  { window, bias, sinks }: AttentionOptions,
): Value {
  const tokens = query.shape[1] ?? 1
  const positions = indicesOfAxis(g, query, 1, 'positions')
  const isVisible = visible(g, positions, reshape(g, positions, [tokens, 1], 'own_position'), window)
  const zero = filled(g, 'zero', 'float32', [1], 0)
  const mask = where(g, isVisible, zero, filled(g, 'masked', 'float32', [1], MASKED), 'mask')
  const ofHeads = (x: Value, columns: number | string) => reshape(g, x, [numKvHeads, group, 1, columns], 'of_heads')
  const widened = (x: Value, value: number, name: string) =>
    sinks === undefined ? x : append(g, x, x.shape.length - 1, 1, value, name)

  const floats = cast(g, positions, query.dtype, 'float_positions')
  const perHead: Value[] = []
  if (bias !== undefined) perHead.push(widened(ofHeads(bias(floats), tokens), 0, 'bias'))
  if (sinks !== undefined) {
    const isSink = widened(mul(g, floats, zero, 'no_sink'), 1, 'is_sink')
    perHead.push(mul(g, ofHeads(sinks, 1), isSink, 'sink'))
  }
  const everyHead = perHead.length === 0 ? filled(g, 'each_of_group', 'float32', [1, group, 1, 1], 0) : undefined
  const whole = [everyHead, ...perHead]
    .filter((part) => part !== undefined)
    .reduce((sum, part) => add(g, sum, part, 'added'), widened(mask, 0, 'mask_beside_sink'))
  const [heads = 1, , , columns = 1] = whole.shape
  return reshape(g, whole, [1, heads, productOf([tokens, group]), columns], 'rows_of_groups')
}
