import type { ModelConfig } from '../../checkpoint/config/config.ts'
import { Fields } from '../../checkpoint/config/fields.ts'
import { llamaLike } from '../parts/llama-like.ts'

/** Seed-OSS (ByteDance Seed): Llama with biases on queries, keys and values. */
export const seedOss = llamaLike({ outputBias, check: (config) => void outputBias(config) })

function outputBias({ raw }: ModelConfig): boolean {
  return new Fields(raw, 'config.json').flag('attention_out_bias', false)
}
