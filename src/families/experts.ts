import type { ModelConfig } from '../checkpoint/config/config.ts'
import type { Layers } from '../graph/layers.ts'
import type { Value } from '../graph/value.ts'
import { FamilyError } from './errors.ts'

/** A mixture of experts as a family configures it. */
export interface Experts {
  readonly numExperts: number
  /** How many experts compute each token. */
  readonly topK: number
  readonly normalised: boolean
  readonly intermediateSize: number
  /** The names of the router's module and of each expert's matrices. */
  readonly router: string
  readonly names: (expert: number) => { readonly gate: string; readonly up: string; readonly down: string }
}

/** Adds a mixture of experts in the place of an MLP: x [rows, tokens, hidden] -> [rows, tokens, hidden]. */
export function experts(
  layers: Layers,
  { hiddenSize }: Pick<ModelConfig, 'hiddenSize'>,
  options: Experts,
  x: Value,
): Value {
  const { numExperts, topK, normalised, intermediateSize, router, names } = options
  const scores = layers.router(x, router, numExperts)
  return layers.experts(x, scores, `${router}.experts`, {
    numExperts,
    intermediateSize,
    hiddenSize,
    names,
    topK,
    normalised,
  })
}

/** Throws `FAMILY_UNSUPPORTED` for a mixture of experts that onnxruntime's operator cannot compute. */
export function checkExperts(
  { activation }: ModelConfig,
  { numExperts, topK }: Pick<Experts, 'numExperts' | 'topK'>,
): void {
  if (!['silu', 'swish'].includes(activation)) {
    throw new FamilyError(
      'FAMILY_UNSUPPORTED',
      'hidden_act',
      activation,
      'is not supported in a mixture of experts: only silu is',
    )
  }
  if (topK > numExperts) {
    throw new FamilyError(
      'FAMILY_UNSUPPORTED',
      'num_experts_per_tok',
      String(topK),
      `is not supported: there are ${numExperts} experts`,
    )
  }
}
