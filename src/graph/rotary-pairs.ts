import type { Graph } from './builder.ts'
import { add, concatLast, mul, reshape, splitLast, sub } from './ops.ts'
import { lastDim, withLastDim } from './shapes.ts'
import type { Value } from './value.ts'

/** Tables of cos and sin. */
export interface Angles {
  readonly cos: Value
  readonly sin: Value
}

/** The two channels of each rotated pair, [..., rotaryDim / 2] each, and the channels that are not rotated, if any. */
export interface RotaryPairs {
  readonly first: Value
  readonly second: Value
  readonly rest: readonly Value[]
}

/**
 * Takes x [..., channels] apart. Of the first `rotaryDim` channels, channel i is paired with channel i + rotaryDim / 2
 * or, if `interleaved`, channel 2i with channel 2i + 1.
 */
export function splitPairs(g: Graph, x: Value, rotaryDim: number, interleaved: boolean): RotaryPairs {
  const half = rotaryDim / 2
  const channels = Number(lastDim(x.shape))
  const others = rotaryDim === channels ? [] : [channels - rotaryDim]
  if (!interleaved) {
    const [first, second, ...rest] = splitLast(g, x, [half, half, ...others], 'split_halves')
    return { first: first!, second: second!, rest }
  }
  const [rotated, ...rest] = others.length === 0 ? [x] : splitLast(g, x, [rotaryDim, ...others], 'split_rotated')
  const pairs = reshape(g, rotated!, [...x.shape.slice(0, -1), half, 2], 'pairs')
  const [first, second] = splitLast(g, pairs, [1, 1], 'split_pairs').map((part) =>
    reshape(g, part, withLastDim(x.shape, half), 'channel_of_pairs'),
  )
  return { first: first!, second: second!, rest }
}

/** Puts what `splitPairs` took apart together again. */
export function joinPairs(g: Graph, { first, second, rest }: RotaryPairs, interleaved: boolean, name: string): Value {
  if (!interleaved) return concatLast(g, [first, second, ...rest], name)
  const half = Number(lastDim(first.shape))
  const outer = first.shape.slice(0, -1)
  const [a, b] = [first, second].map((channel) => reshape(g, channel, [...outer, half, 1], 'channel_of_pairs'))
  const rotated = reshape(g, concatLast(g, [a!, b!], 'join_pairs'), [...outer, 2 * half], 'rotated')
  return rest.length === 0 ? rotated : concatLast(g, [rotated, ...rest], name)
}

/**
 * Rotates x [rows, tokens, heads, headDim] by angles whose cos and sin are broadcast over the heads, [..., 1,
 * rotaryDim / 2]: of each pair of channels (a, b), one becomes a cos - b sin, the other b cos + a sin.
 */
export function rotateHeads(g: Graph, x: Value, { cos, sin }: Angles, interleaved: boolean): Value {
  const { first: a, second: b, rest } = splitPairs(g, x, 2 * Number(lastDim(cos.shape)), interleaved)
  const turned = {
    first: sub(g, mul(g, a, cos), mul(g, b, sin)),
    second: add(g, mul(g, b, cos), mul(g, a, sin)),
    rest,
  }
  return joinPairs(g, turned, interleaved, 'rotate')
}
