import type { Graph } from './builder.ts'
import type { GroupQueryAttentionInputs, GroupQueryAttentionOptions } from './group-query-attention.ts'
import { add, concatLast, mul, reshape, scale, splitLast } from './ops.ts'
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
import type { Shape, Value } from './value.ts'

/** What one step of an int8 cache stands for, of each row and channel: float32 [rows, 1, numKvHeads * headDim]. */
export interface ScaleValues {
  readonly key: Value
  readonly value: Value
}

/** Of int8, on either side. */
const LEVELS = 127

/** A scale that is not more than this has not been set: nothing but zeros lies there. */
const UNSET = 2 ** -30

/** What there is room for: so many times what the first run has shown at most, and so many standard deviations. */
const PEAK_ROOM = 2
const DEVIATIONS = 8

/**
 * A channel counts as if it had been seen in so many more tokens with the variance of its whole head: one token says
 * little.
 */
const PRIOR_TOKENS = 4

type Projections = Pick<GroupQueryAttentionInputs, 'query' | 'key' | 'value'>

export interface ScaledProjections {
  readonly projections: Projections
  /** The given scales; those that were unset as this run's keys and values set them. */
  readonly used: ScaleValues
  /** What attention makes of the scaled projections -> what it makes of the given ones. */
  restore(output: Value): Value
}

/**
 * Keys and values in steps of an int8 cache. Scores are sums over channels, so queries take over the keys' scales, and
 * the output the values'. A row's first run sets its scales for good: what lies in a cache is rounded once, whatever
 * runs come after it, and a replay that begins with the same run gives the same. The first `pairedDim` channels of each
 * head will be rotated: a pair, one channel from each half, has one scale, which fits at any angle.
 */
export function scaleProjections(
  g: Graph,
  { query, key, value }: Projections,
  scales: ScaleValues,
  { numHeads, numKvHeads, headDim }: GroupQueryAttentionOptions,
  pairedDim: number,
): ScaledProjections {
  const used = {
    key: g.scope('key_scale', () => orSet(g, scales.key, suitableScale(g, key, [numKvHeads, headDim], pairedDim))),
    value: g.scope('value_scale', () => orSet(g, scales.value, suitableScale(g, value, [numKvHeads, headDim], 0))),
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

/** x [rows, tokens, heads * channels] -> [rows, 1, heads * channels] */
function suitableScale(g: Graph, x: Value, [heads, channels]: readonly [number, number], pairedDim: number): Value {
  const [rows = 1, , width = 1] = x.shape
  const ofHeads = (perChannel: Value, name: string) => reshape(g, perChannel, [rows, 1, heads, channels], name)
  const sums = ofHeads(sumOfAxis(g, mul(g, x, x, 'square'), 1, 'sum'), 'sum_of_heads')
  const peaks = ofHeads(largestOfAxis(g, abs(g, x, 'magnitude'), 1, 'peak'), 'peak_of_heads')
  const tokens = sizeOfAxis(g, x, 1, 'tokens')

  const ownSums =
    pairedDim === 0
      ? sums
      : overPairs(g, sums, pairedDim, (a, b) => scale(g, add(g, a, b, 'sum_of_pair'), 0.5, 'mean_of_pair'), 'pair_sums')
  const ownPeaks =
    pairedDim === 0
      ? peaks
      : overPairs(
          g,
          peaks,
          pairedDim,
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

/** What comes of both channels of a pair, in the place of each; x [..., channels], of which the others stay. */
function overPairs(g: Graph, x: Value, pairedDim: number, combine: (a: Value, b: Value) => Value, name: string): Value {
  const channels = Number(x.shape.at(-1)),
    half = pairedDim / 2
  return g.scope(name, () => {
    const [a, b, ...rest] = splitLast(
      g,
      x,
      [half, half, ...(pairedDim < channels ? [channels - pairedDim] : [])],
      'split_halves',
    )
    const both = combine(a!, b!)
    return concatLast(g, [both, both, ...rest], 'pairs')
  })
}

function orSet(g: Graph, held: Value, suitable: Value): Value {
  return where(g, lessOrEqual(g, held, filled(g, 'unset', 'float32', [1], UNSET), 'is_unset'), suitable, held, 'used')
}
