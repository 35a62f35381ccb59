import type { ModelConfig } from '../../checkpoint/config/config.ts'
import { Fields } from '../../checkpoint/config/fields.ts'
import { llamaLike, type Multipliers } from '../parts/llama-like.ts'

/** Granite (IBM, "Granite 3.0 Language Models"): Llama with constant factors. */
export const granite = llamaLike({
  check(config) {
    multipliersOf(config)
    scaleOf(config)
  },
  multipliers: multipliersOf,
  attentionOptions: (config) => ({ scale: scaleOf(config) }),
})

function multipliersOf({ raw }: ModelConfig): Multipliers {
  const fields = new Fields(raw, 'config.json')
  return {
    embedding: fields.positive('embedding_multiplier', 1),
    residual: fields.positive('residual_multiplier', 1),
    logits: 1 / fields.positive('logits_scaling', 1),
  }
}

function scaleOf({ raw }: ModelConfig): number {
  return new Fields(raw, 'config.json').positive('attention_multiplier', 1)
}
