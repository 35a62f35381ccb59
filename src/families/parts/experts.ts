import type { ModelConfig } from '../../checkpoint/config/config.ts'
import type { ExpertNames, SingleExperts } from '../../graph/expert-parts.ts'
import type { Layers } from '../../graph/layers.ts'
import type { ExpertGate } from '../../graph/moe.ts'
import type { ExpertGroups } from '../../graph/routing.ts'
import type { Value } from '../../graph/value.ts'
import { FamilyError } from './errors.ts'

/** A mixture of experts as a family configures it. */
export interface Experts {
  readonly numExperts: number
  /** How many experts compute each token. */
  readonly topK: number
  readonly normalised: boolean
  readonly intermediateSize: number
  /** The names of the router's module and of the experts' matrices. */
  readonly router: string
  readonly names: ExpertNames
  /** Whether the router has a bias. */
  readonly routerBias?: boolean | undefined
  /** The gate of each expert; SiLU by default. */
  readonly gate?: ExpertGate | undefined
  /** How weights are made from the router's scores; softmax by default. */
  readonly scoring?: 'softmax' | 'sigmoid' | undefined
  /** The name of the vector that corrects sigmoids for the choice of experts. */
  readonly correction?: string | undefined
  /** Factor of all weights; 1 by default. */
  readonly factor?: number | undefined
  readonly groups?: ExpertGroups | undefined
}

/** The names of experts that are modules of a list, as Llama's MLP names its matrices. */
export function modulesOfExperts(list: string): SingleExperts {
  return (expert) => ({
    gate: `${list}.${expert}.gate_proj.weight`,
    up: `${list}.${expert}.up_proj.weight`,
    down: `${list}.${expert}.down_proj.weight`,
  })
}

/** Adds a mixture of experts in the place of an MLP: x [rows, tokens, hidden] -> [rows, tokens, hidden]. */
export function experts(
  layers: Layers,
  { hiddenSize }: Pick<ModelConfig, 'hiddenSize'>,
  options: Experts,
  x: Value,
): Value {
  const { numExperts, intermediateSize, router, names, routerBias = false, gate, scoring = 'softmax' } = options
  const scores = layers.router(x, router, numExperts, { bias: routerBias })
  const correction = options.correction === undefined ? undefined : layers.vector(options.correction, numExperts)
  const routing = layers.route(scores, { ...options, scoring, correction }, `${router}.route`)
  return layers.experts(x, routing, `${router}.experts`, { numExperts, intermediateSize, hiddenSize, names, gate })
}

/** Throws `FAMILY_UNSUPPORTED` for a mixture of experts that onnxruntime's operator cannot compute. */
export function checkExperts(
  { activation }: ModelConfig,
  { numExperts, topK, groups }: Pick<Experts, 'numExperts' | 'topK' | 'groups'>,
): void {
  if (!['silu', 'swish'].includes(activation)) {
    throw new FamilyError(
      'FAMILY_UNSUPPORTED',
      'hidden_act',
      activation,
      'is not supported in a mixture of experts: only silu is',
    )
  }
  checkGroups(numExperts, topK, groups)
  if (topK > numExperts) throw refusal('num_experts_per_tok', topK, `there are ${numExperts} experts`)
}

/** Throws `FAMILY_UNSUPPORTED` for groups that experts cannot be divided into or chosen from. */
function checkGroups(numExperts: number, topK: number, groups: ExpertGroups | undefined): void {
  if (groups === undefined) return
  const { count, chosen, leaders } = groups
  const size = numExperts / count
  if (!Number.isInteger(size) || size < leaders)
    throw refusal('n_group', count, `it must divide the ${numExperts} experts into groups of at least ${leaders}`)
  if (chosen > count) throw refusal('topk_group', chosen, `there are ${count} groups`)
  if (topK > chosen * size)
    throw refusal('num_experts_per_tok', topK, `the chosen groups have ${chosen * size} experts`)
}

function refusal(option: string, value: number, problem: string): FamilyError {
  return new FamilyError('FAMILY_UNSUPPORTED', option, String(value), `is not supported: ${problem}`)
}
