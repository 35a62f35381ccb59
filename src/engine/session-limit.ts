import type { ModelConfig } from '../checkpoint/config.ts'

/** The longest session that the model's positions allow: its maximum, or what its RoPE scaling stretches it to. */
export function maxSessionLength({ maxPositions, rope }: Pick<ModelConfig, 'maxPositions' | 'rope'>): number {
  switch (rope.type) {
    case 'linear':
    case 'dynamic': return Math.floor(maxPositions * rope.factor)
    case 'yarn': return Math.max(maxPositions, Math.floor(rope.originalMaxPositions * rope.factor))
    default: return maxPositions
  }
}
