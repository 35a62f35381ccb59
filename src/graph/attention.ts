import type { Graph } from './builder.ts'
import { type AttentionOutputs, groupQueryAttention, type GroupQueryAttentionInputs } from './group-query-attention.ts'
import type { AttentionForm, AttentionLowering, HeadShape } from './lowering.ts'
import { add, cast, concatLast, gather, mul, padLast, reshape, splitLast, sub, takeLast } from './ops.ts'
import { primitiveAttention } from './primitive-attention.ts'
import { lastDim, withLastDim } from './shapes.ts'
import type { Value } from './value.ts'

export interface Heads extends HeadShape {
  readonly numHeads: number
  readonly numKvHeads: number
}

/** Queries [rows, tokens, numHeads * headDim], keys and values [rows, tokens, numKvHeads * headDim]. */
export type Projections = Pick<GroupQueryAttentionInputs, 'query' | 'key' | 'value'>

/** Each ignores what it does not need: the fused form the positions, the other one the longest row's length. */
const FORMS: Record<AttentionForm, typeof primitiveAttention> = { GroupQueryAttention: groupQueryAttention, Primitives: primitiveAttention }

/** What a run binds besides its hidden states. */
export interface AttentionState extends Omit<GroupQueryAttentionInputs, keyof Projections | 'rotary'> {
  /** [positions, rotaryDim / 2], as `sin`. */
  readonly cos: Value
  readonly sin: Value
  /** int64 [rows, tokens]; there if the lowering rotates outside of the operator. */
  readonly positionIds?: Value | undefined
}

/**
 * Causal attention of grouped heads over the KV cache, with rotary position embeddings, in the form that the lowering
 * says. Heads that the operator does not take are padded with zeros, which leaves every score as it is.
 */
export function attention(
  g: Graph, lowering: AttentionLowering, heads: Heads, { query, key, value }: Projections, state: AttentionState,
): AttentionOutputs {
  const { cos, sin, positionIds, ...cache } = state
  const { numHeads, numKvHeads, headDim } = heads
  const angles = positionIds === undefined ? undefined : gatherAngles(g, cos, sin, positionIds)
  const prepare = (x: Value, count: number, name: string, rotate: boolean) => {
    const rotated = rotate && angles !== undefined
    if (!rotated && lowering.cacheHeadDim === headDim) return x
    return g.scope(name, () => {
      const split = reshape(g, x, [...x.shape.slice(0, -1), count, headDim], 'split_heads')
      const turned = rotated ? rotateHalves(g, split, angles) : split
      const padded = padHeads(g, turned, lowering)
      return reshape(g, padded, withLastDim(x.shape, count * lowering.cacheHeadDim), 'merge_heads')
    })
  }
  const outputs = FORMS[lowering.form](g, {
    query: prepare(query, numHeads, 'query', true),
    key: prepare(key, numKvHeads, 'key', true),
    value: prepare(value, numKvHeads, 'value', false),
    ...cache,
    positionIds,
    rotary: lowering.rotary === 'inside' ? { cos, sin } : undefined,
  }, { numHeads, numKvHeads, headDim: lowering.cacheHeadDim, scale: 1 / Math.sqrt(headDim) }, 'attention')
  return { ...outputs, output: unpadHeads(g, outputs.output, heads, lowering.cacheHeadDim) }
}

interface Angles {
  /** [rows, tokens, 1, rotaryDim / 2], as `sin`. */
  readonly cos: Value
  readonly sin: Value
}

function gatherAngles(g: Graph, cos: Value, sin: Value, positionIds: Value): Angles {
  const pick = (table: Value, name: string) => g.scope(name, () => {
    const rows = gather(g, table, positionIds)
    return reshape(g, rows, [...positionIds.shape, 1, lastDim(table.shape) ?? 1])
  })
  return { cos: pick(cos, 'cos'), sin: pick(sin, 'sin') }
}

/** x [rows, tokens, heads, headDim] of (a, b, rest) -> (a cos - b sin, b cos + a sin, rest); a and b are the rotated halves. */
function rotateHalves(g: Graph, x: Value, { cos, sin }: Angles): Value {
  const half = Number(lastDim(cos.shape))
  const rest = Number(lastDim(x.shape)) - 2 * half
  const [a, b, ...others] = splitLast(g, x, rest === 0 ? [half, half] : [half, half, rest], 'split_halves')
  return concatLast(g, [
    sub(g, mul(g, a!, cos), mul(g, b!, sin)),
    add(g, mul(g, b!, cos), mul(g, a!, sin)),
    ...others,
  ], 'rotate')
}

function padHeads(g: Graph, x: Value, { cacheHeadDim, padDType }: AttentionLowering): Value {
  if (lastDim(x.shape) === cacheHeadDim) return x
  return cast(g, padLast(g, cast(g, x, padDType), cacheHeadDim, 'pad_heads'), x.dtype)
}

function unpadHeads(g: Graph, x: Value, { numHeads, headDim }: Heads, paddedDim: number): Value {
  if (paddedDim === headDim) return x
  return g.scope('output', () => {
    const split = reshape(g, x, [...x.shape.slice(0, -1), numHeads, paddedDim], 'split_heads')
    return reshape(g, takeLast(g, split, headDim, 'unpad_heads'), withLastDim(x.shape, numHeads * headDim), 'merge_heads')
  })
}
