import type { Graph } from './builder.ts'
import type { ExpertGate } from './moe.ts'
import { add, mul, quickGelu, reshape, splitLast } from './ops.ts'
import { clamp, clampAbove, constantLike } from './primitive-ops.ts'
import type { Value } from './value.ts'

/** The gate of experts: `gates` and what they open, `up`, of the same shape. */
export function openGates(g: Graph, gates: Value, up: Value, { alpha, offset, limit }: ExpertGate): Value {
  const clamped = limit === undefined ? gates : clampAbove(g, gates, limit, 'clamped_gate')
  const kept = limit === undefined ? up : clamp(g, up, limit, 'clamped_up')
  const opened = offset === 0 ? kept : add(g, kept, constantLike(g, kept, offset, 'offset'), 'opened')
  return mul(g, quickGelu(g, clamped, alpha, 'gate'), opened, 'gated')
}

/** Takes x [..., 2 * width], in which gate and up alternate, apart: [..., width] each. */
export function splitPairs(g: Graph, x: Value): [gates: Value, up: Value] {
  const outer = x.shape.slice(0, -1)
  const width = Number(x.shape.at(-1)) / 2
  const pairs = reshape(g, x, [...outer, width, 2], 'pairs')
  const [gates, up] = splitLast(g, pairs, [1, 1], 'split_pairs')
  return [reshape(g, gates!, [...outer, width], 'half'), reshape(g, up!, [...outer, width], 'half')]
}
