import type { ModelConfig } from '../../checkpoint/config/config.ts'
import { Fields } from '../../checkpoint/config/fields.ts'
import { FamilyError } from '../parts/errors.ts'
import { checkExperts, experts, type Experts } from '../parts/experts.ts'
import { llamaLike, splitProjections } from '../parts/llama-like.ts'

/** The limit of gates and what they open; no model of this type has another. */
const LIMIT = 7

/**
 * gpt-oss (OpenAI, "gpt-oss-120b & gpt-oss-20b Model Card"): a mixture of experts with biases and clamped gates in each
 * block, a sink for each head's attention, windows in every other layer. Checkpoints may store experts in MXFP4.
 */
export const gptOss = llamaLike({
  check(config) {
    checkExperts(config, expertsOf(config))
    const limit = config.raw['swiglu_limit'] ?? LIMIT
    if (limit !== LIMIT)
      throw new FamilyError(
        'FAMILY_UNSUPPORTED',
        'swiglu_limit',
        JSON.stringify(limit),
        `is not supported: only ${LIMIT} is`,
      )
  },
  attention: (layers, config, x, { attend }) =>
    attend(splitProjections(layers, config, x), { sinks: layers.vector('self_attn.sinks', config.numHeads) }),
  mlp: (layers, config, x) => experts(layers, config, expertsOf(config), x),
})

function expertsOf({ raw, intermediateSize }: ModelConfig): Experts {
  const fields = new Fields(raw, 'config.json', {
    num_local_experts: ['num_local_experts', 'num_experts'],
    num_experts_per_tok: ['num_experts_per_tok', 'experts_per_token'],
  })
  return {
    numExperts: fields.size('num_local_experts', 128),
    topK: fields.size('num_experts_per_tok', 4),
    normalised: true,
    intermediateSize,
    router: 'mlp.router',
    routerBias: true,
    gate: { alpha: 1.702, offset: 1, limit: LIMIT },
    names: {
      gateUp: 'mlp.experts.gate_up_proj',
      down: 'mlp.experts.down_proj',
      gateUpBias: 'mlp.experts.gate_up_proj_bias',
      downBias: 'mlp.experts.down_proj_bias',
    },
  }
}
