import type { Graph } from './builder.ts'
import type { GroupQueryAttentionInputs, GroupQueryAttentionOptions } from './group-query-attention.ts'
import { add, mul, reshape, scale } from './ops.ts'
import {
  abs,
  div,
  filled,
  largest,
  largestOfAxis,
  lessOrEqual,
  meanOfLast,
  sizeOfAxis,
  sqrt,
  sumOfAxis,
  where,
} from './primitive-ops.ts'
import { joinPairs, splitPairs } from './rotary-pairs.ts'
import type { Shape, Value } from './value.ts'

/**
 * The scales of an int8 cache, one for each row and channel: float32 [rows, 1, numKvHeads * headDim]. A cached code c
 * stands for c * scale.
 */
export interface ScaleValues {
  readonly key: Value
  readonly value: Value
}

/** The largest code of an int8 cache on either side of 0. */
const LEVELS = 127

/** A scale of at most this has not been set yet: the row's cache is empty. */
const UNSET = 2 ** -30

/**
 * The range that a new scale covers, since later tokens may exceed the first run's: at least twice the first run's
 * peak, and at least eight of its standard deviations.
 */
const PEAK_ROOM = 2
const DEVIATIONS = 8

/**
 * A channel's variance is estimated as if it had been seen in this many further tokens with the variance of its whole
 * head, because a first run of one token says little about it.
 */
const PRIOR_TOKENS = 4

type Projections = Pick<GroupQueryAttentionInputs, 'query' | 'key' | 'value'>

/** Queries, keys and values, ready for attention over an int8 cache. */
export interface ScaledProjections {
  readonly projections: Projections
  /** The given scales; for rows that had none, those that this run's keys and values set. */
  readonly used: ScaleValues
  /** Turns attention's output for the scaled projections into its output for the unscaled ones. */
  restore(output: Value): Value
}

/**
 * Divides keys and values by the scales of their row and channel, for an int8 cache. Attention scores are sums over
 * channels, so multiplying the queries by the keys' scales, and the output by the values', leaves the result as it is.
 *
 * A row's first run sets its scales for good: each cached number is rounded once, and a replay that begins with a run
 * of the same tokens gives the same scales. The first `pairedDim` channels of each head will be rotated after this; the
 * two channels of a rotated pair share a scale, which fits at any angle.
 */
export function scaleProjections(
  g: Graph,
  { query, key, value }: Projections,
  scales: ScaleValues,
  { numHeads, numKvHeads, headDim, interleaved = false }: GroupQueryAttentionOptions,
  pairedDim: number,
): ScaledProjections {
  const heads = { numKvHeads, headDim, interleaved }
  const used = {
    key: g.scope('key_scale', () => orSet(g, scales.key, suitableScale(g, key, { ...heads, pairedDim }))),
    value: g.scope('value_scale', () => orSet(g, scales.value, suitableScale(g, value, { ...heads, pairedDim: 0 }))),
  }
  const [rows = 1, tokens = 1] = query.shape
  const grouped: Shape = [rows, tokens, numKvHeads, numHeads / numKvHeads, headDim]
  const timesScale = (x: Value, factor: Value, name: string) =>
    g.scope(name, () => {
      const product = mul(
        g,
        reshape(g, x, grouped, 'split_heads'),
        reshape(g, factor, [rows, 1, numKvHeads, 1, headDim], 'scale_of_heads'),
        'scaled',
      )
      return reshape(g, product, x.shape, 'merge_heads')
    })
  return {
    projections: {
      query: timesScale(query, used.key, 'query'),
      key: div(g, key, used.key, 'key_steps'),
      value: div(g, value, used.value, 'value_steps'),
    },
    used,
    restore: (output) => timesScale(output, used.value, 'output'),
  }
}

/** The heads of keys or values, of which the first `pairedDim` channels will be rotated. */
interface CachedHeads {
  readonly numKvHeads: number
  readonly headDim: number
  readonly interleaved: boolean
  readonly pairedDim: number
}

/**
 * The scale for each channel of x [rows, tokens, heads * channels], from this run's tokens: [rows, 1, heads *
 * channels].
 */
function suitableScale(g: Graph, x: Value, heads: CachedHeads): Value {
  const [rows = 1, , width = 1] = x.shape
  const { numKvHeads, headDim, pairedDim } = heads
  const ofHeads = (perChannel: Value, name: string) => reshape(g, perChannel, [rows, 1, numKvHeads, headDim], name)
  const sums = ofHeads(sumOfAxis(g, mul(g, x, x, 'square'), 1, 'sum'), 'sum_of_heads')
  const peaks = ofHeads(largestOfAxis(g, abs(g, x, 'magnitude'), 1, 'peak'), 'peak_of_heads')
  const tokens = sizeOfAxis(g, x, 1, 'tokens')

  const ownSums =
    pairedDim === 0
      ? sums
      : overPairs(g, sums, heads, (a, b) => scale(g, add(g, a, b, 'sum_of_pair'), 0.5, 'mean_of_pair'), 'pair_sums')
  const ownPeaks =
    pairedDim === 0
      ? peaks
      : overPairs(
          g,
          peaks,
          heads,
          (a, b) => sqrt(g, add(g, mul(g, a, a, 'a2'), mul(g, b, b, 'b2'), 'length2'), 'length'),
          'pair_peaks',
        )
  const prior = scale(g, div(g, meanOfLast(g, sums, 'mean_of_head'), tokens, 'variance_of_head'), PRIOR_TOKENS, 'prior')
  const variance = div(
    g,
    add(g, ownSums, prior, 'sum_with_prior'),
    add(g, tokens, filled(g, 'prior_tokens', 'float32', [1], PRIOR_TOKENS), 'tokens_with_prior'),
    'variance',
  )
  const room = largest(
    g,
    scale(g, ownPeaks, PEAK_ROOM, 'peak_room'),
    scale(g, sqrt(g, variance, 'deviation'), DEVIATIONS, 'deviation_room'),
    'room',
  )
  const step = largest(g, scale(g, room, 1 / LEVELS, 'step'), filled(g, 'least', 'float32', [1], 2 * UNSET), 'suitable')
  return reshape(g, step, [rows, 1, width], 'merge_heads')
}

/** Replaces both channels of each rotated pair by `combine` of the two; the other channels of x stay as they are. */
function overPairs(
  g: Graph,
  x: Value,
  { pairedDim, interleaved }: CachedHeads,
  combine: (a: Value, b: Value) => Value,
  name: string,
): Value {
  return g.scope(name, () => {
    const { first, second, rest } = splitPairs(g, x, pairedDim, interleaved)
    const both = combine(first, second)
    return joinPairs(g, { first: both, second: both, rest }, interleaved, 'pairs')
  })
}

/** The scale that a row has, or `suitable` if it has none. */
function orSet(g: Graph, held: Value, suitable: Value): Value {
  return where(g, lessOrEqual(g, held, filled(g, 'unset', 'float32', [1], UNSET), 'is_unset'), suitable, held, 'used')
}
