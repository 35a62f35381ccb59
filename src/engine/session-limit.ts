import { PetalsError } from '../base/errors.ts'
import type { ModelConfig } from '../checkpoint/config.ts'

/** Throws `SESSION_TOO_LONG` for a length that the model's positions do not allow. */
export function checkSessionLength({ maxLength: limit }: Pick<ModelConfig, 'maxLength'>, maxLength: number): void {
  if (Number.isInteger(maxLength) && maxLength >= 1 && maxLength <= limit) return
  throw new PetalsError('SESSION_TOO_LONG', `a session of ${maxLength} tokens, prompt and answer together: this model takes 1 to ${limit}`)
}
