import type { ModelConfig } from '../../checkpoint/config/config.ts'
import { deepseekLike } from './deepseek-v3.ts'
import { FamilyError } from '../parts/errors.ts'
import {
  checkOption,
  expertFields,
  readGroups,
  readSharedExperts,
  type SharedExperts,
} from '../parts/shared-experts.ts'

const METHODS = ['greedy', 'group_limited_greedy']

const DEFAULTS = {
  numExperts: 64,
  intermediateSize: 1407,
  shared: 2,
  factor: 1,
  groups: { count: 1, chosen: 1, leaders: 1 },
} as const

/**
 * DeepSeek-V2 (Liu et al., "DeepSeek-V2: A Strong, Economical, and Efficient Mixture-of-Experts Language Model"):
 * latent attention; in most blocks a mixture of experts, out of the best groups or out of all, beside experts that
 * compute every token.
 */
export const deepseekV2 = deepseekLike(expertsOf)

function expertsOf(config: ModelConfig): SharedExperts {
  checkOption(config, 'scoring_func', 'softmax')
  checkOption(config, 'rope_interleave', true)
  const fields = expertFields(config)
  const method = fields.text('topk_method', 'greedy')
  if (!METHODS.includes(method))
    throw new FamilyError(
      'FAMILY_UNSUPPORTED',
      'topk_method',
      method,
      `is not supported: only ${METHODS.join(', ')} are`,
    )
  return {
    ...readSharedExperts(fields, DEFAULTS),
    // As in transformers, whatever norm_topk_prob says.
    normalised: false,
    groups: method === 'greedy' ? undefined : readGroups(fields, DEFAULTS.groups),
  }
}
