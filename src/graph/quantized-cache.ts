import type { Graph } from './builder.ts'
import type { GroupQueryAttentionInputs, GroupQueryAttentionOptions } from './group-query-attention.ts'
import { add, concatLast, mul, reshape, scale, splitLast } from './ops.ts'
import { abs, ceil, div, filled, largest, largestOfAxis, lessOrEqual, log, pow, sqrt, where } from './primitive-ops.ts'
import type { Shape, Value } from './value.ts'

/** What one step of an int8 cache stands for, of each row and channel: float32 [rows, 1, numKvHeads * headDim]. */
export interface CacheScales {
  readonly key: Value
  readonly value: Value
}

/** A scale of a row that holds nothing else than zeros. */
export const UNSET_SCALE = 2 ** -30

/** Scales are powers of this: those of one row come out the same however many runs its keys and values came in. */
export const SCALE_NOTCH = 2 ** (1 / 4)

/** How far keys and values may go at their scale: int8 has room for one notch more, so that one is no reason to run again. */
const LEVELS = 127 / SCALE_NOTCH

type Projections = Pick<GroupQueryAttentionInputs, 'query' | 'key' | 'value'>

export interface ScaledProjections {
  readonly projections: Projections
  /** What this run's keys and values need. Where that is more than one notch above the given ones, some were cut off. */
  readonly needed: CacheScales
  /** What attention makes of the scaled projections -> what it makes of the given ones. */
  restore(output: Value): Value
}

/**
 * Keys and values in steps of an int8 cache. Scores are sums over channels, so queries take over the keys' scales, and the
 * output the values'. Scales that are unset become those that this run needs. The first `pairedDim` channels of each head
 * will be rotated: a pair, one channel from each half, has one scale, which fits at any angle.
 */
export function scaleProjections(
  g: Graph, { query, key, value }: Projections, scales: CacheScales, { numHeads, numKvHeads, headDim }: GroupQueryAttentionOptions, pairedDim: number,
): ScaledProjections {
  const needed = {
    key: g.scope('key_scale', () => neededScale(g, key, numKvHeads, pairedDim)),
    value: g.scope('value_scale', () => neededScale(g, value, numKvHeads, 0)),
  }
  const used = { key: orNeeded(g, scales.key, needed.key, 'used_key_scale'), value: orNeeded(g, scales.value, needed.value, 'used_value_scale') }
  const [rows = 1, tokens = 1] = query.shape
  const grouped: Shape = [rows, tokens, numKvHeads, numHeads / numKvHeads, headDim]
  const timesScale = (x: Value, factor: Value, name: string) => g.scope(name, () => {
    const product = mul(g, reshape(g, x, grouped, 'split_heads'), reshape(g, factor, [rows, 1, numKvHeads, 1, headDim], 'scale_of_heads'), 'scaled')
    return reshape(g, product, x.shape, 'merge_heads')
  })
  return {
    projections: { query: timesScale(query, used.key, 'query'), key: div(g, key, used.key, 'key_steps'), value: div(g, value, used.value, 'value_steps') },
    needed,
    restore: (output) => timesScale(output, used.value, 'output'),
  }
}

function neededScale(g: Graph, x: Value, numKvHeads: number, pairedDim: number): Value {
  const peaks = largestOfAxis(g, abs(g, x, 'magnitude'), 1, 'peak')
  const sized = pairedDim === 0 ? peaks : pairPeaks(g, peaks, numKvHeads, pairedDim)
  const exponent = ceil(g, scale(g, log(g, scale(g, sized, 1 / LEVELS, 'step'), 'ln'), 1 / Math.log(SCALE_NOTCH), 'notches'), 'exponent')
  return largest(g, pow(g, filled(g, 'notch', 'float32', [1], SCALE_NOTCH), exponent, 'power'), filled(g, 'unset', 'float32', [1], UNSET_SCALE), 'needed')
}

/** sqrt(a^2 + b^2) for both channels of a pair. */
function pairPeaks(g: Graph, peaks: Value, numKvHeads: number, pairedDim: number): Value {
  const [rows = 1, , width = 1] = peaks.shape
  const headDim = Number(width) / numKvHeads, half = pairedDim / 2
  const heads = reshape(g, peaks, [rows, 1, numKvHeads, headDim], 'split_heads')
  const [a, b, ...rest] = splitLast(g, heads, [half, half, ...pairedDim < headDim ? [headDim - pairedDim] : []], 'split_halves')
  const pair = sqrt(g, add(g, mul(g, a!, a!, 'a2'), mul(g, b!, b!, 'b2'), 'sum'), 'pair')
  return reshape(g, concatLast(g, [pair, pair, ...rest], 'pairs'), peaks.shape, 'merge_heads')
}

function orNeeded(g: Graph, held: Value, needed: Value, name: string): Value {
  const isUnset = lessOrEqual(g, held, filled(g, `${name}.unset`, 'float32', [1], UNSET_SCALE), `${name}.is_unset`)
  return where(g, isUnset, needed, held, name)
}
