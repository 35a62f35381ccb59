import type { Graph } from './builder.ts'
import { int64s } from './int64s.ts'
import type { Angles } from './rotary-pairs.ts'
import { lastDim } from './shapes.ts'
import { int, type Value } from './value.ts'

/** How the channels of x [rows, tokens, channels] are heads, and pairs within these (see `splitPairs`). */
export interface RotatedHeads {
  readonly numHeads: number
  readonly interleaved: boolean
}

/**
 * Rotates the heads of x [rows, tokens, numHeads * headDim], of which each row begins at position 0, as `rotateHeads`
 * does, but by one operator, in one pass over the memory. cos and sin are [tokens, rotaryDim / 2].
 */
export function rotaryEmbedding(
  g: Graph,
  x: Value,
  { cos, sin }: Angles,
  { numHeads, interleaved }: RotatedHeads,
  name: string,
): Value {
  return g.node({
    op: 'RotaryEmbedding',
    domain: 'com.microsoft',
    name,
    inputs: [x, g.constant('first_position', int64s([0])), cos, sin],
    outputs: [x],
    attributes: {
      interleaved: int(Number(interleaved)),
      num_heads: int(numHeads),
      rotary_embedding_dim: int(2 * Number(lastDim(cos.shape))),
    },
  })[0]!
}
