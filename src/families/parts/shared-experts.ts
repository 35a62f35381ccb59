import type { ModelConfig } from '../../checkpoint/config/config.ts'
import { Fields } from '../../checkpoint/config/fields.ts'
import type { Layers } from '../../graph/layers.ts'
import type { ExpertGroups } from '../../graph/routing.ts'
import type { Value } from '../../graph/value.ts'
import { FamilyError } from './errors.ts'
import { experts, type Experts, modulesOfExperts } from './experts.ts'
import { gatedMlp } from './gated-mlp.ts'

/** A mixture of experts beside which others compute every token. */
export interface SharedExperts extends Experts {
  /** The width of all shared experts, which are stored as one MLP. */
  readonly sharedSize: number
}

/** What a model has where its config does not say. */
export interface SharedExpertDefaults {
  readonly numExperts: number
  readonly topK?: number
  readonly intermediateSize: number
  readonly shared: number
  readonly factor: number
  readonly groups: ExpertGroups
}

/** Adds a mixture of experts and the MLP of shared experts: x [rows, tokens, hidden] -> [rows, tokens, hidden]. */
export function sharedExperts(layers: Layers, config: ModelConfig, options: SharedExperts, x: Value): Value {
  const routed = experts(layers, config, options, x)
  const shared = gatedMlp(layers, { ...config, intermediateSize: options.sharedSize }, x, 'mlp.shared_experts')
  return layers.add(routed, shared, 'mlp.all_experts')
}

/**
 * Reads experts as DeepSeek-V3 has them, each of which is weighted by itself. Throws `FAMILY_UNSUPPORTED` and
 * `CHECKPOINT_CONFIG`.
 */
export function correctedRouter(config: ModelConfig, defaults: SharedExpertDefaults): SharedExperts {
  checkOption(config, 'scoring_func', 'sigmoid')
  checkOption(config, 'topk_method', 'noaux_tc')
  checkOption(config, 'mlp_bias', false)
  const fields = expertFields(config)
  return {
    ...readSharedExperts(fields, defaults),
    normalised: fields.flag('norm_topk_prob', true),
    scoring: 'sigmoid',
    correction: 'mlp.gate.e_score_correction_bias',
    groups: readGroups(fields, defaults.groups),
  }
}

/** What the routed and shared experts of several families have in common. */
export function readSharedExperts(
  fields: Fields,
  { numExperts, topK, intermediateSize, shared, factor }: SharedExpertDefaults,
): Omit<SharedExperts, 'normalised'> {
  const width = fields.size('moe_intermediate_size', intermediateSize)
  return {
    numExperts: fields.size('n_routed_experts', numExperts),
    topK: fields.size('num_experts_per_tok', topK),
    intermediateSize: width,
    sharedSize: width * fields.size('n_shared_experts', shared),
    factor: fields.positive('routed_scaling_factor', factor),
    router: 'mlp.gate',
    names: modulesOfExperts('mlp.experts'),
  }
}

/** Groups of experts as `n_group` and `topk_group` say; none where all experts are one. */
export function readGroups(fields: Fields, { count, chosen, leaders }: ExpertGroups): ExpertGroups | undefined {
  const groups = fields.size('n_group', count)
  return groups === 1 ? undefined : { count: groups, chosen: fields.size('topk_group', chosen), leaders }
}

export function expertFields({ raw }: ModelConfig): Fields {
  return new Fields(raw, 'config.json', {
    n_routed_experts: ['n_routed_experts', 'num_local_experts', 'num_experts'],
  })
}

/** Throws `FAMILY_UNSUPPORTED` for an option that is there and has another value than the only one that is computed. */
export function checkOption({ raw }: ModelConfig, option: string, only: string | number | boolean): void {
  const value = raw[option] ?? only
  if (value === only) return
  throw new FamilyError('FAMILY_UNSUPPORTED', option, JSON.stringify(value), `is not supported: only ${only} is`)
}
