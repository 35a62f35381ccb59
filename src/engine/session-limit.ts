import { PetalsError } from '../base/errors.ts'
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

/** Throws `SESSION_TOO_LONG` for a length that the model's positions do not allow. */
export function checkSessionLength(config: Pick<ModelConfig, 'maxPositions' | 'rope'>, maxLength: number): void {
  const limit = maxSessionLength(config)
  if (Number.isInteger(maxLength) && maxLength >= 1 && maxLength <= limit) return
  throw new PetalsError('SESSION_TOO_LONG', `a session of ${maxLength} tokens, prompt and answer together: this model takes 1 to ${limit}`)
}
