import type { ModelConfig } from '../../checkpoint/config/config.ts'
import { Fields } from '../../checkpoint/config/fields.ts'
import type { Layers } from '../../graph/layers.ts'
import type { Value } from '../../graph/value.ts'
import { convert } from '../../tensor/convert.ts'
import { asFloat32, fromFloat32 } from '../../tensor/tensor.ts'
import { alibi, alibiSlopes } from '../parts/alibi.ts'
import { FamilyError } from '../parts/errors.ts'
import type { BlockInputs, Family } from '../parts/family.ts'
import { checkActivation } from '../parts/llama-like.ts'

const EMBEDDING = 'transformer.word_embeddings'
const FINAL_NORM = 'transformer.ln_f'

/** In what Falcon's models differ. */
interface FalconOptions {
  /** Whether linear layers have biases. */
  readonly bias: boolean
  readonly alibi: boolean
  /** Whether attention and MLP read the same input and their outputs are added together. */
  readonly parallel: boolean
  /** Whether attention and MLP each have a norm of their own before them. */
  readonly twoNorms: boolean
}

/**
 * Falcon (Almazrouei et al., "The Falcon Series of Open Language Models") in its three architectures: 7B (one key and
 * value head for all queries), 40B and 180B (`new_decoder_architecture`: grouped heads, separate norms for attention
 * and MLP), and RW (ALiBi, biases).
 */
export const falcon: Family = {
  check(config) {
    checkActivation(config, 'activation')
    optionsOf(config)
  },

  names: (config) => ({
    blockPrefix: (block) => `transformer.h.${block}.`,
    embedding: `${EMBEDDING}.weight`,
    finalNorm: `${FINAL_NORM}.weight`,
    head: `${headModule(config)}.weight`,
    ignored: [/(^|\.)rotary(_emb)?\.inv_freq$/, ...(config.tiedEmbeddings ? [/(^|\.)lm_head\.weight$/] : [])],
  }),

  embed: (layers, { vocabSize, hiddenSize }, ids) => layers.embedding(ids, EMBEDDING, vocabSize, hiddenSize),

  block(layers, config, { hidden, attend }) {
    const { parallel, twoNorms } = optionsOf(config)
    const norm = (input: Value, name: string) => layers.layerNorm(input, name, config.normEps)

    const x = norm(hidden, twoNorms ? 'ln_attn' : 'input_layernorm')
    const attended = attention(layers, config, x, attend)
    if (!parallel) {
      const middle = layers.add(hidden, attended, 'attention_residual')
      return layers.add(middle, mlp(layers, config, norm(middle, 'post_attention_layernorm')), 'mlp_residual')
    }
    const y = mlp(layers, config, twoNorms ? norm(hidden, 'ln_mlp') : x)
    return layers.add(hidden, layers.add(y, attended, 'attention_and_mlp'), 'residual')
  },

  norm: finalNorm,

  head(layers, config, hidden) {
    return layers.linear(finalNorm(layers, config, hidden), headModule(config), config.vocabSize, { bias: false })
  },
}

/** Attention from a fused projection in which each group's queries precede the group's key and value. */
function attention(layers: Layers, config: ModelConfig, x: Value, attend: BlockInputs['attend']): Value {
  const { numHeads, numKvHeads, headDim, hiddenSize } = config
  const { bias, alibi: hasAlibi } = optionsOf(config)
  const fused = layers.linear(x, 'self_attention.query_key_value', (numHeads + 2 * numKvHeads) * headDim, { bias })
  const [query, key, value] = layers.splitGroups(
    fused,
    numKvHeads,
    [numHeads / numKvHeads, 1, 1],
    headDim,
    'self_attention.split_qkv',
  )
  const scoreBias = (positions: Value) => scaledAlibi(layers, config, positions)
  const attended = attend({ query: query!, key: key!, value: value! }, hasAlibi ? { bias: scoreBias } : {})
  return layers.linear(attended, 'self_attention.dense', hiddenSize, { bias })
}

/**
 * ALiBi as Falcon was trained: slopes, positions and their products rounded to bfloat16, and the bias divided by
 * sqrt(headDim) like the scores.
 */
function scaledAlibi(layers: Layers, { numHeads, headDim }: ModelConfig, positions: Value): Value {
  const slopes = asFloat32(convert(convert(fromFloat32(alibiSlopes(numHeads), [numHeads]), 'bfloat16'), 'float32'))
  const product = alibi(layers, layers.roundTo(positions, 'bfloat16', 'rounded_positions'), slopes)
  return layers.scale(layers.roundTo(product, 'bfloat16', 'rounded_alibi'), 1 / Math.sqrt(headDim), 'scaled_alibi')
}

function mlp(layers: Layers, config: ModelConfig, x: Value): Value {
  const { bias } = optionsOf(config)
  const wide = layers.linear(x, 'mlp.dense_h_to_4h', config.intermediateSize, { bias })
  return layers.linear(layers.activation(wide, config.activation, 'mlp.act'), 'mlp.dense_4h_to_h', config.hiddenSize, {
    bias,
  })
}

function optionsOf({ raw }: ModelConfig): FalconOptions {
  const fields = new Fields(raw, 'config.json')
  const isNew = fields.flag('new_decoder_architecture', false)
  const parallel = fields.flag('parallel_attn', true)
  const numNorms = fields.size('num_ln_in_parallel_attn', isNew ? 2 : 1)
  if (isNew && !parallel) {
    throw new FamilyError(
      'FAMILY_UNSUPPORTED',
      'parallel_attn',
      'false',
      'is not supported together with new_decoder_architecture',
    )
  }
  if (numNorms > 2 || (numNorms === 2 && !isNew)) {
    throw new FamilyError(
      'FAMILY_UNSUPPORTED',
      'num_ln_in_parallel_attn',
      String(numNorms),
      'is not supported: it is 1, or 2 with new_decoder_architecture',
    )
  }
  return { bias: fields.flag('bias', false), alibi: fields.flag('alibi', false), parallel, twoNorms: numNorms === 2 }
}

function finalNorm(layers: Layers, { normEps }: ModelConfig, hidden: Value): Value {
  return layers.layerNorm(hidden, FINAL_NORM, normEps)
}

function headModule({ tiedEmbeddings }: ModelConfig): string {
  return tiedEmbeddings ? EMBEDDING : 'lm_head'
}
