import type { ModelConfig } from '../../checkpoint/config/config.ts'
import { Fields } from '../../checkpoint/config/fields.ts'
import { gatedMlp } from '../parts/gated-mlp.ts'
import { llamaLike, splitProjections } from '../parts/llama-like.ts'

/** ERNIE 4.5 (Baidu, "ERNIE 4.5 Technical Report"): Llama whose channels are rotated in pairs of neighbours. */
export const ernie4_5 = llamaLike({
  projections: (layers, config, x) => splitProjections(layers, config, x, hasBiases(config)),
  attentionOptions: () => ({ interleaved: true }),
  outputBias: hasBiases,
  mlp: (layers, config, x) => gatedMlp(layers, { ...config, mlpBias: hasBiases(config) }, x),
  check: (config) => void hasBiases(config),
})

function hasBiases({ raw }: ModelConfig): boolean {
  return new Fields(raw, 'config.json').flag('use_bias', false)
}
