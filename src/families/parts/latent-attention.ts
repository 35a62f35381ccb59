import type { ModelConfig } from '../../checkpoint/config/config.ts'
import { Fields } from '../../checkpoint/config/fields.ts'
import { isJsonObject } from '../../checkpoint/files/json.ts'
import type { Layers } from '../../graph/layers.ts'
import type { Value } from '../../graph/value.ts'
import { FamilyError } from './errors.ts'
import type { BlockInputs } from './family.ts'

/** The widths of latent attention. */
export interface LatentSizes {
  /** Of the latent that keys and values are made of. */
  readonly latentDim: number
  /** Of the latent that queries are made of; undefined: they are made of the hidden states. */
  readonly queryLatentDim: number | undefined
  /** Channels of a head's queries and keys that are rotated, and those that are not. */
  readonly ropeDim: number
  readonly plainDim: number
  readonly valueDim: number
  /** Whether neighbouring channels are rotated together, and not those half the width apart. */
  readonly paired: boolean
}

/** The epsilon of the latents' norms, whatever config.json says. */
const LATENT_NORM_EPS = 1e-6

/**
 * Multi-head latent attention (Liu et al., "DeepSeek-V2"), up to its output projection: x [rows, tokens, hidden] ->
 * [rows, tokens, heads * valueDim]. In its absorbed form: not keys and values of each head are cached, but the latent
 * that all of them are made of, together with the rotated channels that all keys share. A head's query is multiplied by
 * the matrix that would have made its keys, so that it can be compared with the latent itself, and its values are made
 * of the latent's weighted sum. So the cache holds, and attention sees, one head of keys and values for all queries.
 */
export function latentAttention(
  layers: Layers,
  config: ModelConfig,
  sizes: LatentSizes,
  x: Value,
  { attend }: Pick<BlockInputs, 'attend'>,
): Value {
  const { numHeads, attentionBias } = config
  const { latentDim, ropeDim, plainDim, valueDim, paired } = sizes
  const fused = layers.linear(x, 'self_attn.kv_a_proj_with_mqa', latentDim + ropeDim, { bias: attentionBias })
  const [raw, sharedKey] = layers.split(fused, [latentDim, ropeDim], 'self_attn.split_latent')
  const latent = layers.rmsNorm(raw!, 'self_attn.kv_a_layernorm', LATENT_NORM_EPS)
  const [plain, turning] = layers.splitHeads(
    queries(layers, config, sizes, x),
    numHeads,
    [plainDim, ropeDim],
    'self_attn.split_query',
  )
  const matrices = {
    numHeads,
    stored: 'self_attn.kv_b_proj',
    shape: [numHeads * (plainDim + valueDim), latentDim],
  } as const
  const absorbed = layers.linearByHeads(plain!, 'self_attn.absorbed_keys', {
    ...matrices,
    first: 0,
    rows: plainDim,
    transposed: false,
  })
  const attended = attend(
    {
      query: layers.joinHeads([turning!, absorbed], numHeads, 'self_attn.query'),
      key: layers.joinHeads([sharedKey!, latent], 1, 'self_attn.key'),
      value: latent,
    },
    { scale: scoreScale(config, sizes), valueDim: latentDim, interleaved: paired },
  )
  return layers.linearByHeads(attended, 'self_attn.absorbed_values', {
    ...matrices,
    first: plainDim,
    rows: valueDim,
    transposed: true,
  })
}

/** Queries of all heads, [rows, tokens, heads * (plainDim + ropeDim)]. */
function queries(
  layers: Layers,
  { numHeads, attentionBias }: ModelConfig,
  { queryLatentDim, plainDim, ropeDim }: LatentSizes,
  x: Value,
): Value {
  const channels = numHeads * (plainDim + ropeDim)
  if (queryLatentDim === undefined) return layers.linear(x, 'self_attn.q_proj', channels, { bias: false })
  const raw = layers.linear(x, 'self_attn.q_a_proj', queryLatentDim, { bias: attentionBias })
  const latent = layers.rmsNorm(raw, 'self_attn.q_a_layernorm', LATENT_NORM_EPS)
  return layers.linear(latent, 'self_attn.q_b_proj', channels, { bias: false })
}

/**
 * Factor of the scores: 1 / sqrt(channels of a head), times the square of YaRN's factor for `mscale_all_dim`, by which
 * scores grow where cos and sin do not.
 */
function scoreScale({ raw, ropes }: ModelConfig, { plainDim, ropeDim }: LatentSizes): number {
  const scale = 1 / Math.sqrt(plainDim + ropeDim)
  const values = raw['rope_scaling'] ?? raw['rope_parameters']
  const mscale = isJsonObject(values) ? values['mscale_all_dim'] : undefined
  const [rope] = ropes
  if (typeof mscale !== 'number' || mscale === 0 || rope === undefined || !('factor' in rope) || rope.factor <= 1)
    return scale
  return scale * (0.1 * mscale * Math.log(rope.factor) + 1) ** 2
}

/** Reads the widths of latent attention. Throws `CHECKPOINT_CONFIG`. */
export function latentSizes({ raw }: ModelConfig): LatentSizes {
  const fields = new Fields(raw, 'config.json')
  return {
    latentDim: fields.size('kv_lora_rank', 512),
    queryLatentDim:
      fields.has('q_lora_rank') && fields.get('q_lora_rank') === undefined
        ? undefined
        : fields.size('q_lora_rank', 1536),
    ropeDim: fields.size('qk_rope_head_dim', 64),
    plainDim: fields.size('qk_nope_head_dim', 128),
    valueDim: fields.size('v_head_dim', 128),
    paired: fields.flag('rope_interleave', true),
  }
}

/** Throws `FAMILY_UNSUPPORTED` for latent attention that is not as transformers computes it. */
export function checkLatent(config: ModelConfig): void {
  const { raw, numHeads, ropes } = config
  const { ropeDim } = latentSizes(config)
  const kvHeads = raw['num_key_value_heads'] ?? numHeads
  if (kvHeads !== numHeads)
    throw new FamilyError(
      'FAMILY_UNSUPPORTED',
      'num_key_value_heads',
      JSON.stringify(kvHeads),
      `is not supported: latent attention has keys of its own for each of its ${numHeads} heads`,
    )
  if (ropes[0]?.rotaryDim !== ropeDim)
    throw new FamilyError(
      'FAMILY_UNSUPPORTED',
      'partial_rotary_factor',
      String(raw['partial_rotary_factor']),
      `is not supported: all ${ropeDim} channels of qk_rope_head_dim are rotated`,
    )
}
