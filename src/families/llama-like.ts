import type { ModelConfig } from '../checkpoint/config/config.ts'
import type { Projections } from '../graph/attention.ts'
import { ACTIVATION_NAMES, type Layers } from '../graph/layers.ts'
import type { Value } from '../graph/value.ts'
import { FamilyError } from './errors.ts'
import type { BlockInputs, Family } from './family.ts'
import { gatedMlp } from './gated-mlp.ts'

const EMBEDDING = 'model.embed_tokens'
const FINAL_NORM = 'model.norm'
const HEAD = 'lm_head'

/** The parts in which a family can differ from Llama. */
export interface LlamaParts {
  /** Queries, keys and values from x [rows, tokens, hidden]. */
  projections(layers: Layers, config: ModelConfig, x: Value): Projections
  /** Whether attention's output projection has a bias. */
  outputBias(config: ModelConfig): boolean
  /** The MLP: x [rows, tokens, hidden] -> [rows, tokens, hidden]. */
  mlp(layers: Layers, config: ModelConfig, x: Value, inputs: BlockInputs): Value
  /** Checks the parts' own options. Throws `FAMILY_UNSUPPORTED`. */
  check(config: ModelConfig): void
}

/**
 * A family built like Llama, with Llama's tensor names: each block has an RMS norm before attention and one before the
 * MLP. `own` replaces Llama's parts.
 */
export function llamaLike(own: Partial<LlamaParts> = {}): Family {
  const parts: LlamaParts = {
    projections: splitProjections,
    outputBias: ({ attentionBias }) => attentionBias,
    mlp: gatedMlp,
    check: () => undefined,
    ...own,
  }
  return {
    check(config) {
      checkActivation(config)
      parts.check(config)
    },

    names: (config) => ({
      blockPrefix: (block) => `model.layers.${block}.`,
      embedding: `${EMBEDDING}.weight`,
      finalNorm: `${FINAL_NORM}.weight`,
      head: `${headModule(config)}.weight`,
      ignored: [/(^|\.)rotary_emb\.inv_freq$/, ...(config.tiedEmbeddings ? [/(^|\.)lm_head\.weight$/] : [])],
    }),

    embed: (layers, { vocabSize, hiddenSize }, ids) => layers.embedding(ids, EMBEDDING, vocabSize, hiddenSize),

    block(layers, config, inputs) {
      const { hidden, attend } = inputs
      const x = layers.rmsNorm(hidden, 'input_layernorm', config.normEps)
      const attended = attend(parts.projections(layers, config, x))
      const projected = layers.linear(attended, 'self_attn.o_proj', config.hiddenSize, {
        bias: parts.outputBias(config),
      })
      const middle = layers.add(hidden, projected, 'attention_residual')
      const y = layers.rmsNorm(middle, 'post_attention_layernorm', config.normEps)
      return layers.add(middle, parts.mlp(layers, config, y, inputs), 'mlp_residual')
    },

    norm,

    head(layers, config, hidden) {
      return layers.linear(norm(layers, config, hidden), headModule(config), config.vocabSize, { bias: false })
    },
  }
}

/** Throws `FAMILY_UNSUPPORTED` if there is no graph for the config's activation function. */
export function checkActivation({ activation }: ModelConfig, field = 'hidden_act'): void {
  if (ACTIVATION_NAMES.includes(activation)) return
  throw new FamilyError(
    'FAMILY_UNSUPPORTED',
    field,
    activation,
    `is not supported: only ${ACTIVATION_NAMES.join(', ')} are`,
  )
}

/** Queries, keys and values by three matrices. */
export function splitProjections(
  layers: Layers,
  { numHeads, numKvHeads, headDim, attentionBias }: ModelConfig,
  x: Value,
  bias = attentionBias,
): Projections {
  return {
    query: layers.linear(x, 'self_attn.q_proj', numHeads * headDim, { bias }),
    key: layers.linear(x, 'self_attn.k_proj', numKvHeads * headDim, { bias }),
    value: layers.linear(x, 'self_attn.v_proj', numKvHeads * headDim, { bias }),
  }
}

function norm(layers: Layers, config: ModelConfig, hidden: Value): Value {
  return layers.rmsNorm(hidden, FINAL_NORM, config.normEps)
}

function headModule({ tiedEmbeddings }: ModelConfig): string {
  return tiedEmbeddings ? EMBEDDING : HEAD
}
