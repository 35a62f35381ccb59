import type { ModelConfig } from '../checkpoint/config.ts'
import { ACTIVATION_NAMES, type Layers } from '../graph/layers.ts'
import type { Value } from '../graph/value.ts'
import { FamilyError } from './errors.ts'
import type { BlockInputs, Family, FamilyNames } from './family.ts'

const EMBEDDING = 'model.embed_tokens'
const FINAL_NORM = 'model.norm'
const HEAD = 'lm_head'

/** Touvron et al., "LLaMA: Open and Efficient Foundation Language Models", and its successors up to Llama 3.3. */
export const llama: Family = {
  check({ activation }: ModelConfig): void {
    if (!ACTIVATION_NAMES.includes(activation)) {
      throw new FamilyError('FAMILY_UNSUPPORTED', 'hidden_act', activation,
        `is not supported: only ${ACTIVATION_NAMES.join(', ')} are`)
    }
  },

  names(config: ModelConfig): FamilyNames {
    return {
      blockPrefix: (block) => `model.layers.${block}.`,
      embedding: `${EMBEDDING}.weight`,
      finalNorm: `${FINAL_NORM}.weight`,
      head: `${headModule(config)}.weight`,
      ignored: [/(^|\.)rotary_emb\.inv_freq$/, ...config.tiedEmbeddings ? [/^lm_head\.weight$/] : []],
    }
  },

  embed(layers: Layers, { vocabSize, hiddenSize }: ModelConfig, ids: Value): Value {
    return layers.embedding(ids, EMBEDDING, vocabSize, hiddenSize)
  },

  block(layers: Layers, config: ModelConfig, { hidden, attend }: BlockInputs): Value {
    const { numHeads, numKvHeads, headDim, hiddenSize, normEps, attentionBias } = config
    const biased = { bias: attentionBias }

    const x = layers.rmsNorm(hidden, 'input_layernorm', normEps)
    const attended = attend({
      query: layers.linear(x, 'self_attn.q_proj', numHeads * headDim, biased),
      key: layers.linear(x, 'self_attn.k_proj', numKvHeads * headDim, biased),
      value: layers.linear(x, 'self_attn.v_proj', numKvHeads * headDim, biased),
    })
    const middle = layers.add(hidden, layers.linear(attended, 'self_attn.o_proj', hiddenSize, biased), 'attention_residual')

    const y = layers.rmsNorm(middle, 'post_attention_layernorm', normEps)
    return layers.add(middle, gatedMlp(layers, config, y), 'mlp_residual')
  },

  norm(layers: Layers, config: ModelConfig, hidden: Value): Value {
    return layers.rmsNorm(hidden, FINAL_NORM, config.normEps)
  },

  head(layers: Layers, config: ModelConfig, hidden: Value): Value {
    return layers.linear(llama.norm(layers, config, hidden), headModule(config), config.vocabSize, { bias: false })
  },
}

/** down(act(gate(x)) * up(x)) */
function gatedMlp(layers: Layers, { hiddenSize, intermediateSize, activation, mlpBias }: ModelConfig, x: Value): Value {
  const biased = { bias: mlpBias }
  const gate = layers.linear(x, 'mlp.gate_proj', intermediateSize, biased)
  const up = layers.linear(x, 'mlp.up_proj', intermediateSize, biased)
  const gated = layers.mul(layers.activation(gate, activation, 'mlp.act_fn'), up, 'mlp.gated')
  return layers.linear(gated, 'mlp.down_proj', hiddenSize, biased)
}

function headModule({ tiedEmbeddings }: ModelConfig): string {
  return tiedEmbeddings ? EMBEDDING : HEAD
}
