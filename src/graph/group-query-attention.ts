import type { Graph } from './builder.ts'
import { wantDType, wantShape } from './ops.ts'
import { filled } from './primitive-ops.ts'
import { float, int, optional, type Shape, string, type Value } from './value.ts'

/** The inputs of onnxruntime's operator GroupQueryAttention. */
export interface GroupQueryAttentionInputs {
  /** [rows, tokens, numHeads * headDim] */
  readonly query: Value
  /** Keys, like the values [rows, tokens, numKvHeads * headDim]. */
  readonly key: Value
  readonly value: Value
  /**
   * The cache of keys, like that of values [rows, numKvHeads, capacity, headDim]. If it is int8, keys and values must
   * have been divided by its scales; the operator rounds them.
   */
  readonly pastKey: Value
  readonly pastValue: Value
  /** int32 [rows]: each row's length after this run, minus one. */
  readonly seqlensK: Value
  /** int32 [1]: the longest row's length after this run. */
  readonly totalSequenceLength: Value
  /** Tables of cos and sin, [positions, rotaryDim / 2], if the operator is to rotate queries and keys. */
  readonly rotary?: { readonly cos: Value; readonly sin: Value } | undefined
  /** int64 [rows, tokens]: the positions by which the operator rotates; by default the tokens' places in the cache. */
  readonly positionIds?: Value | undefined
  /** int64 [capacity]: the numbers from 0 on, where the graph cannot count them. */
  readonly slots?: Value | undefined
  /** Added to the scores after the soft cap: [1, numHeads, tokens, total]; column i belongs to position i. */
  readonly bias?: Value | undefined
  /** A score of each head that takes part in softmax and in nothing else: [numHeads]. */
  readonly sinks?: Value | undefined
}

/** The operator's attributes. */
export interface GroupQueryAttentionOptions {
  readonly numHeads: number
  readonly numKvHeads: number
  readonly headDim: number
  /** Factor of the scores before softmax. */
  readonly scale: number
  /** Each score s becomes cap * tanh(s / cap). */
  readonly softcap?: number | undefined
  /** How many positions a token attends to, its own included. Absent: all positions before it. */
  readonly window?: number | undefined
  /** Whether the rotary embedding pairs channels 2i and 2i + 1, not i and i + rotaryDim / 2. */
  readonly interleaved?: boolean | undefined
}

/** What attention yields. */
export interface AttentionOutputs {
  /** Same shape as the query. */
  readonly output: Value
  /** The caches with this run's keys and values added; may be bound to the same memory as the past caches. */
  readonly presentKey: Value
  readonly presentValue: Value
}

/** Adds onnxruntime's fused causal attention over a preallocated KV cache. */
export function groupQueryAttention(
  g: Graph,
  inputs: GroupQueryAttentionInputs,
  options: GroupQueryAttentionOptions,
  name: string,
): AttentionOutputs {
  const { numHeads, numKvHeads, headDim, scale, softcap, window, interleaved = false } = options
  const { query, key, value, pastKey, pastValue, seqlensK, totalSequenceLength, rotary, positionIds, bias, sinks } =
    inputs
  const [rows, tokens] = query.shape
  const want = (x: Value, shape: Shape) => {
    wantDType(g, 'GroupQueryAttention', name, x, query.dtype)
    wantShape(g, 'GroupQueryAttention', name, x, shape)
  }
  want(query, [rows ?? 1, tokens ?? 1, numHeads * headDim])
  for (const x of [key, value]) want(x, [rows ?? 1, tokens ?? 1, numKvHeads * headDim])
  const steps = pastKey.dtype === 'int8'
  for (const x of [pastKey, pastValue]) {
    wantDType(g, 'GroupQueryAttention', name, x, steps ? 'int8' : query.dtype)
    wantShape(g, 'GroupQueryAttention', name, x, [rows ?? 1, numKvHeads, pastKey.shape[2] ?? 1, headDim])
  }
  for (const x of [seqlensK, totalSequenceLength]) wantDType(g, 'GroupQueryAttention', name, x, 'int32')
  wantShape(g, 'GroupQueryAttention', name, seqlensK, [rows ?? 1])
  wantShape(g, 'GroupQueryAttention', name, totalSequenceLength, [1])
  if (rotary !== undefined) want(rotary.sin, rotary.cos.shape)
  const one = steps ? filled(g, `${name}.cache_scale`, 'float32', [1], 1) : undefined
  if (bias !== undefined) want(bias, [1, numHeads, tokens ?? 1, bias.shape[3] ?? 1])
  if (sinks !== undefined) want(sinks, [numHeads])

  const [output, presentKey, presentValue] = g.node({
    op: 'GroupQueryAttention',
    domain: 'com.microsoft',
    name,
    inputs: [
      query,
      key,
      value,
      pastKey,
      pastValue,
      seqlensK,
      totalSequenceLength,
      ...optional([rotary?.cos, rotary?.sin, rotary && positionIds, bias, sinks, one, one]),
    ],
    outputs: [query, pastKey, pastValue],
    attributes: {
      num_heads: int(numHeads),
      kv_num_heads: int(numKvHeads),
      scale: float(scale),
      do_rotary: int(rotary === undefined ? 0 : 1),
      ...(interleaved && { rotary_interleaved: int(1) }),
      ...(steps && {
        k_quant_type: string('PER_TENSOR'),
        v_quant_type: string('PER_TENSOR'),
        kv_cache_bit_width: int(8),
      }),
      ...(softcap !== undefined && { softcap: float(softcap) }),
      ...(window !== undefined && { local_window_size: int(window) }),
    },
  })
  return { output: output!, presentKey: presentKey!, presentValue: presentValue! }
}
