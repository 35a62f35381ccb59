import type { Graph } from './builder.ts'
import { type AttentionOutputs, groupQueryAttention, type GroupQueryAttentionInputs } from './group-query-attention.ts'
import type { AttentionForm, AttentionLowering, HeadShape } from './lowering.ts'
import { cast, gather, padLast, reshape, takeLast } from './ops.ts'
import { primitiveAttention } from './primitive-attention.ts'
import { type ScaleValues, scaleProjections } from './quantized-cache.ts'
import { indicesOfAxis, indicesUpTo, repeatLike } from './primitive-ops.ts'
import { type Angles, rotateHeads } from './rotary-pairs.ts'
import { lastDim, withLastDim } from './shapes.ts'
import type { Value } from './value.ts'

/** The number and the shape of attention's heads. */
export interface Heads extends HeadShape {
  readonly numHeads: number
  readonly numKvHeads: number
}

/** In what the attention of models differs. */
export interface AttentionOptions {
  /** Factor of the scores before softmax; 1 / sqrt(headDim) by default. */
  readonly scale?: number | undefined
  /** Each score s becomes cap * tanh(s / cap). Absent: scores stay as they are. */
  readonly softcap?: number | undefined
  /** How many positions a token attends to, its own included. Absent: all positions before it. */
  readonly window?: number | undefined
  /**
   * Whether the rotary embedding turns channel 2i of a head together with channel 2i + 1. By default it turns channel i
   * together with channel i + rotaryDim / 2.
   */
  readonly interleaved?: boolean | undefined
  /**
   * A score of each head, [numHeads], that takes part in softmax and in nothing else (Xiao et al., "Efficient Streaming
   * Language Models with Attention Sinks").
   */
  readonly sinks?: Value | undefined
  /** Channels of a head's values, at most as many as of its keys; as many by default. */
  readonly valueDim?: number | undefined
  /**
   * Computes what is added to the scores, from the positions of the cached tokens, float32 [total], to [1, heads, 1,
   * total].
   */
  readonly bias?: ((positions: Value) => Value) | undefined
}

/**
 * Queries [rows, tokens, numHeads * headDim], keys [rows, tokens, numKvHeads * headDim], values [rows, tokens,
 * numKvHeads * valueDim].
 */
export type Projections = Pick<GroupQueryAttentionInputs, 'query' | 'key' | 'value'>

/**
 * The function that builds each form. Both take the same inputs, and each ignores those that it does not need: the
 * fused form the positions if it does not rotate, the primitive form the longest row's length.
 */
const FORMS: Record<AttentionForm, typeof primitiveAttention> = {
  GroupQueryAttention: groupQueryAttention,
  Primitives: primitiveAttention,
}

/** The values that attention takes besides the projections: the cache, lengths, positions and rotary tables. */
export interface AttentionState extends Omit<
  GroupQueryAttentionInputs,
  keyof Projections | 'rotary' | 'bias' | 'sinks'
> {
  /** Tables of cos and sin, [positions, rotaryDim / 2]. Absent for other position embeddings. */
  readonly rotary?: Angles | undefined
  /**
   * int64 [rows, tokens]: each token's position. Given if the rotation happens outside of the operator, or if the
   * window slides.
   */
  readonly positionIds?: Value | undefined
  /** The scales of an int8 cache. */
  readonly scales?: ScaleValues | undefined
}

/** What attention yields, with the scales of an int8 cache. */
export interface ScaledAttentionOutputs extends AttentionOutputs {
  /** The scales of an int8 cache after this run: rows that had none have been given theirs. */
  readonly scales?: ScaleValues | undefined
}

/**
 * Adds causal grouped-query attention over the KV cache (Ainslie et al., "GQA"), with rotary embeddings if the state
 * has their tables, in the form that the lowering chose. If the operator does not take the model's head size, heads are
 * padded with zeros, which change no score. Returns the output [rows, tokens, numHeads * valueDim] and the caches.
 */
export function attention(
  g: Graph,
  lowering: AttentionLowering,
  heads: Heads,
  { query, key, value }: Projections,
  state: AttentionState,
  { scale, softcap, window, bias, interleaved = false, sinks, valueDim = heads.headDim }: AttentionOptions = {},
): ScaledAttentionOutputs {
  const { rotary, positionIds, scales, ...cache } = state
  const { numHeads, numKvHeads, headDim } = heads
  const angles =
    rotary === undefined || positionIds === undefined || lowering.rotary === 'inside'
      ? undefined
      : gatherAngles(g, rotary, positionIds)
  const prepare = (x: Value, count: number, dim: number, name: string, rotate: boolean) => {
    const rotated = rotate && angles !== undefined
    if (!rotated && lowering.cacheHeadDim === dim) return x
    return g.scope(name, () => {
      const split = reshape(g, x, [...x.shape.slice(0, -1), count, dim], 'split_heads')
      const turned = rotated ? rotateHeads(g, split, angles, interleaved) : split
      const padded = padHeads(g, turned, lowering)
      return reshape(g, padded, withLastDim(x.shape, count * lowering.cacheHeadDim), 'merge_heads')
    })
  }
  const projections = {
    query: prepare(query, numHeads, headDim, 'query', true),
    key: prepare(key, numKvHeads, headDim, 'key', true),
    value: prepare(value, numKvHeads, valueDim, 'value', false),
  }
  const form = {
    numHeads,
    numKvHeads,
    headDim: lowering.cacheHeadDim,
    scale: scale ?? 1 / Math.sqrt(headDim),
    softcap,
    window,
    interleaved,
  }
  const scaled =
    scales &&
    g.scope('cache', () =>
      scaleProjections(g, projections, scales, form, lowering.rotary === 'inside' ? heads.rotaryDim : 0),
    )
  const outputs = FORMS[lowering.form](
    g,
    {
      ...(scaled?.projections ?? projections),
      ...cache,
      positionIds,
      rotary: lowering.rotary === 'inside' ? rotary : undefined,
      sinks,
      bias: bias === undefined ? undefined : g.scope('bias', () => scoreBias(g, lowering.form, bias, query, state)),
    },
    form,
    'attention',
  )
  const output = scaled === undefined ? outputs.output : g.scope('cache', () => scaled.restore(outputs.output))
  return {
    ...outputs,
    output: unpadHeads(g, output, { numHeads, headDim: valueDim }, lowering.cacheHeadDim),
    scales: scaled?.used,
  }
}

/**
 * The bias in the shape that the form takes: one row for each token of the run, or, for the primitive form, one row
 * that is broadcast over the tokens.
 */
function scoreBias(
  g: Graph,
  form: AttentionForm,
  bias: NonNullable<AttentionOptions['bias']>,
  query: Value,
  state: AttentionState,
): Value {
  const perHead = cast(g, bias(cachedPositions(g, form, state)), query.dtype)
  return form === 'Primitives' ? perHead : repeatLike(g, perHead, 2, query, 1, 'each_token')
}

/** The positions of the cache's columns, float32: as many as the form computes scores for. */
function cachedPositions(
  g: Graph,
  form: AttentionForm,
  { pastKey, totalSequenceLength, slots }: AttentionState,
): Value {
  const columns =
    form === 'Primitives'
      ? (slots ?? indicesOfAxis(g, pastKey, 2, 'columns'))
      : indicesUpTo(g, totalSequenceLength, 'total', 'columns')
  return cast(g, columns, 'float32', 'positions')
}

/** cos and sin of each token's position: [rows, tokens, 1, rotaryDim / 2] each. */
function gatherAngles(g: Graph, { cos, sin }: Angles, positionIds: Value): Angles {
  const pick = (table: Value, name: string) =>
    g.scope(name, () => {
      const rows = gather(g, table, positionIds)
      return reshape(g, rows, [...positionIds.shape, 1, lastDim(table.shape) ?? 1])
    })
  return { cos: pick(cos, 'cos'), sin: pick(sin, 'sin') }
}

/** Appends zeros to each head up to the cache's head size. */
function padHeads(g: Graph, x: Value, { cacheHeadDim, padDType }: AttentionLowering): Value {
  if (lastDim(x.shape) === cacheHeadDim) return x
  return cast(g, padLast(g, cast(g, x, padDType), cacheHeadDim, 'pad_heads'), x.dtype)
}

/** Removes the channels that `padHeads` appended. */
function unpadHeads(
  g: Graph,
  x: Value,
  { numHeads, headDim }: Pick<Heads, 'numHeads' | 'headDim'>,
  paddedDim: number,
): Value {
  if (paddedDim === headDim) return x
  return g.scope('output', () => {
    const split = reshape(g, x, [...x.shape.slice(0, -1), numHeads, paddedDim], 'split_heads')
    return reshape(
      g,
      takeLast(g, split, headDim, 'unpad_heads'),
      withLastDim(x.shape, numHeads * headDim),
      'merge_heads',
    )
  })
}
