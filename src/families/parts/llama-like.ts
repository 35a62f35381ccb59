import type { ModelConfig } from '../../checkpoint/config/config.ts'
import type { AttentionOptions, Projections } from '../../graph/attention.ts'
import { ACTIVATION_NAMES, type Layers } from '../../graph/layers.ts'
import type { Value } from '../../graph/value.ts'
import { FamilyError } from './errors.ts'
import type { BlockInputs, Family } from './family.ts'
import { gatedMlp } from './gated-mlp.ts'
import { type BlockNorms, parallelBlock, sequentialBlock } from './residual-block.ts'

/** The names of a model's modules in checkpoints. */
export interface ModelNames {
  /** Of the list of blocks. */
  readonly blocks: string
  readonly embedding: string
  readonly finalNorm: string
  readonly head: string
  /** Of attention's output projection, within a block. */
  readonly output: string
}

/** Constant factors; 1 where absent. */
export interface Multipliers {
  readonly embedding?: number
  /** Of what attention and MLP add to the hidden states. */
  readonly residual?: number
  readonly logits?: number
}

/** The parts in which a family can differ from Llama. */
export interface LlamaParts {
  readonly names: ModelNames
  /** Tensors that checkpoints contain besides Llama's and no graph uses. */
  readonly ignored: readonly RegExp[]
  /** One of the norms: x [..., hidden] -> [..., hidden]. */
  norm(layers: Layers, config: ModelConfig, x: Value, name: string): Value
  /** Where a block has norms. */
  norms(config: ModelConfig): BlockNorms
  /** Whether attention and MLP read the same hidden states. */
  parallel(config: ModelConfig): boolean
  multipliers(config: ModelConfig): Multipliers
  /** Queries, keys and values from x [rows, tokens, hidden]. */
  projections(layers: Layers, config: ModelConfig, x: Value): Projections
  /** Attention up to its output projection, if it is not of these projections: [rows, tokens, channels]. */
  attention?(layers: Layers, config: ModelConfig, x: Value, inputs: BlockInputs): Value
  attentionOptions(config: ModelConfig): Pick<AttentionOptions, 'scale' | 'interleaved'>
  /** Whether attention's output projection has a bias. */
  outputBias(config: ModelConfig): boolean
  /** The MLP: x [rows, tokens, hidden] -> [rows, tokens, hidden]. */
  mlp(layers: Layers, config: ModelConfig, x: Value, inputs: BlockInputs): Value
  readonly headBias: boolean
  /** What config.json calls the activation function, for messages. */
  readonly activationField: string
  /** Checks the parts' own options. Throws `FAMILY_UNSUPPORTED`. */
  check(config: ModelConfig): void
}

export const LLAMA_NAMES: ModelNames = {
  blocks: 'model.layers',
  embedding: 'model.embed_tokens',
  finalNorm: 'model.norm',
  head: 'lm_head',
  output: 'self_attn.o_proj',
}

const LLAMA: LlamaParts = {
  names: LLAMA_NAMES,
  ignored: [],
  norm: (layers, { normEps }, x, name) => layers.rmsNorm(x, name, normEps),
  norms: () => ({ beforeAttention: 'input_layernorm', beforeMlp: 'post_attention_layernorm' }),
  parallel: () => false,
  multipliers: () => ({}),
  projections: splitProjections,
  attentionOptions: () => ({}),
  outputBias: ({ attentionBias }) => attentionBias,
  mlp: (layers, config, x) => gatedMlp(layers, config, x),
  headBias: false,
  activationField: 'hidden_act',
  check: () => undefined,
}

/**
 * A family built like Llama: each block has an RMS norm before attention and one before the MLP. `own` replaces Llama's
 * parts.
 */
export function llamaLike(own: Partial<LlamaParts> = {}): Family {
  const parts: LlamaParts = { ...LLAMA, ...own }
  const { embedding, finalNorm, head, blocks } = parts.names
  const headModule = ({ tiedEmbeddings }: ModelConfig) => (tiedEmbeddings ? embedding : head)
  const norm: Family['norm'] = (layers, config, hidden) => parts.norm(layers, config, hidden, finalNorm)
  return {
    check(config) {
      checkActivation(config, parts.activationField)
      parts.check(config)
    },

    names: (config) => ({
      blockPrefix: (block) => `${blocks}.${block}.`,
      embedding: `${embedding}.weight`,
      finalNorm: `${finalNorm}.weight`,
      head: `${headModule(config)}.weight`,
      ignored: [
        /(^|\.)rotary_emb\.inv_freq$/,
        ...parts.ignored,
        ...(config.tiedEmbeddings ? [new RegExp(`(^|\\.)${head}\\.weight$`)] : []),
      ],
    }),

    embed(layers, config, ids) {
      const embedded = layers.embedding(ids, embedding, config.vocabSize, config.hiddenSize)
      return scaled(layers, embedded, parts.multipliers(config).embedding, 'embed_scale')
    },

    block: (layers, config, inputs) => blockOf(parts, layers, config, inputs),

    norm,

    head(layers, config, hidden) {
      const logits = layers.linear(norm(layers, config, hidden), headModule(config), config.vocabSize, { bias: false })
      const biased = parts.headBias ? layers.addBias(logits, head) : logits
      return scaled(layers, biased, parts.multipliers(config).logits, 'logit_scale')
    },
  }
}

function blockOf(parts: LlamaParts, layers: Layers, config: ModelConfig, inputs: BlockInputs): Value {
  const build = parts.parallel(config) ? parallelBlock : sequentialBlock
  const { residual } = parts.multipliers(config)
  return build(
    {
      norms: parts.norms(config),
      norm: (x, name) => parts.norm(layers, config, x, name),
      attention(x) {
        const attended =
          parts.attention?.(layers, config, x, inputs) ??
          inputs.attend(parts.projections(layers, config, x), parts.attentionOptions(config))
        return layers.linear(attended, parts.names.output, config.hiddenSize, { bias: parts.outputBias(config) })
      },
      mlp: (x) => parts.mlp(layers, config, x, inputs),
      add: (hidden, change, name) => layers.add(hidden, scaled(layers, change, residual, `${name}_multiplier`), name),
    },
    inputs.hidden,
  )
}

function scaled(layers: Layers, x: Value, factor: number | undefined, name: string): Value {
  return factor === undefined || factor === 1 ? x : layers.scale(x, factor, name)
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

/** Throws `FAMILY_UNSUPPORTED` if the heads together are not as wide as the hidden states. */
export function checkHeadDim({ headDim, numHeads, hiddenSize }: ModelConfig): void {
  if (headDim * numHeads === hiddenSize) return
  throw new FamilyError(
    'FAMILY_UNSUPPORTED',
    'head_dim',
    String(headDim),
    `is not supported: ${numHeads} heads together have hidden_size (${hiddenSize}) channels`,
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
