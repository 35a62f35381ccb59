import type { ModelConfig } from '../../checkpoint/config/config.ts'
import { Fields } from '../../checkpoint/config/fields.ts'
import type { Projections } from '../../graph/attention.ts'
import type { Layers } from '../../graph/layers.ts'
import type { Value } from '../../graph/value.ts'
import { FamilyError } from '../parts/errors.ts'
import type { Family } from '../parts/family.ts'
import { gatedMlp } from '../parts/gated-mlp.ts'
import { checkActivation, llamaLike, splitProjections } from '../parts/llama-like.ts'

const EMBEDDING = 'model.embed_tokens'
const HEAD = 'lm_head'
const FINAL_NORM = 'model.norm'

/** Gemma stores the weights of norms minus one. */
export const NORM_OFFSET = 1

/** Gemma's own fields of config.json. */
interface GemmaOptions {
  /** Attention scores are divided by the square root of this. */
  readonly queryScalar: number
  /** Soft caps of attention's scores and of the logits; undefined: none. */
  readonly scoreCap: number | undefined
  readonly logitCap: number | undefined
}

/** In what the Gemma families differ. */
export interface GemmaParts {
  /**
   * The soft cap of scores if config.json leaves it out. Null: this family never caps scores, whatever config.json
   * says.
   */
  readonly scoreCap: number | null
  readonly logitCap: number | undefined
  /** Applied to queries and keys before they are rotated. */
  readonly prepareHeads?: (layers: Layers, config: ModelConfig, projections: Projections) => Projections
}

const QUERY_SCALAR = 256

/**
 * A family built like Gemma 2 (Riviere et al., "Gemma 2"): norms before and after attention and MLP, soft caps on
 * scores and logits, embeddings scaled by sqrt(hidden size), sliding windows in some layers.
 */
export function gemmaLike({ scoreCap: defaultScoreCap, logitCap: defaultLogitCap, prepareHeads }: GemmaParts): Family {
  const optionsOf = ({ raw }: ModelConfig): GemmaOptions => {
    const fields = new Fields(raw, 'config.json')
    const cap = (name: string, fallback: number | undefined) =>
      fields.has(name) && fields.get(name) === undefined ? undefined : fields.optionalPositive(name, fallback)
    return {
      queryScalar: fields.positive('query_pre_attn_scalar', QUERY_SCALAR),
      scoreCap: defaultScoreCap === null ? undefined : cap('attn_logit_softcapping', defaultScoreCap),
      logitCap: cap('final_logit_softcapping', defaultLogitCap),
    }
  }
  return {
    names: llamaLike().names,

    softcapped: (config) => optionsOf(config).scoreCap !== undefined,

    check(config) {
      checkActivation(config, 'hidden_activation')
      optionsOf(config)
      checkOneDirection(config)
    },

    embed(layers, { vocabSize, hiddenSize }, ids) {
      return layers.scale(layers.embedding(ids, EMBEDDING, vocabSize, hiddenSize), Math.sqrt(hiddenSize), 'embed_scale')
    },

    block(layers, config, { hidden, attend }) {
      const { queryScalar, scoreCap } = optionsOf(config)
      const norm = (x: Value, name: string) => layers.rmsNorm(x, name, config.normEps, NORM_OFFSET)

      const heads = splitProjections(layers, config, norm(hidden, 'input_layernorm'))
      const attended = attend(prepareHeads?.(layers, config, heads) ?? heads, {
        scale: 1 / Math.sqrt(queryScalar),
        softcap: scoreCap,
      })
      const projected = layers.linear(attended, 'self_attn.o_proj', config.hiddenSize, { bias: config.attentionBias })
      const middle = layers.add(hidden, norm(projected, 'post_attention_layernorm'), 'attention_residual')

      const mlp = gatedMlp(layers, config, norm(middle, 'pre_feedforward_layernorm'))
      return layers.add(middle, norm(mlp, 'post_feedforward_layernorm'), 'mlp_residual')
    },

    norm: finalNorm,

    head(layers, config, hidden) {
      const { logitCap } = optionsOf(config)
      const module = config.tiedEmbeddings ? EMBEDDING : HEAD
      const logits = layers.linear(finalNorm(layers, config, hidden), module, config.vocabSize, { bias: false })
      return logitCap === undefined ? logits : layers.softcap(logits, logitCap, 'final_logit_softcapping')
    },
  }
}

/** Throws `FAMILY_UNSUPPORTED` for models that attend to later positions, too. */
export function checkOneDirection({ raw }: ModelConfig): void {
  if (raw['use_bidirectional_attention'] !== true) return
  throw new FamilyError(
    'FAMILY_UNSUPPORTED',
    'use_bidirectional_attention',
    'true',
    'is not supported: a text is generated from left to right',
  )
}

/** Applies an RMS norm to each head's queries and keys. */
export function normaliseHeads(
  layers: Layers,
  { headDim, normEps }: ModelConfig,
  { query, key, value }: Projections,
): Projections {
  return {
    query: layers.headRmsNorm(query, 'self_attn.q_norm', headDim, normEps, NORM_OFFSET),
    key: layers.headRmsNorm(key, 'self_attn.k_norm', headDim, normEps, NORM_OFFSET),
    value,
  }
}

function finalNorm(layers: Layers, { normEps }: ModelConfig, hidden: Value): Value {
  return layers.rmsNorm(hidden, FINAL_NORM, normEps, NORM_OFFSET)
}
