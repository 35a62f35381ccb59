import { UsageError } from '../../base/errors.ts'
import type { GenerationOptions } from '../../sampling/options/options.ts'
import type { DistributedModel } from './distributed-model.ts'

/**
 * Checks the constraint of options, if there is one, and tells the thread that chooses tokens what their bytes are.
 * Throws `CONSTRAINT_...`, and `USAGE` without a tokenizer.
 */
export async function prepareConstraint(
  { ends, tokenizer, checkpoint }: Pick<DistributedModel, 'ends' | 'tokenizer' | 'checkpoint'>,
  { constraint }: GenerationOptions,
): Promise<void> {
  if (constraint === undefined) return
  if (tokenizer === undefined)
    throw new UsageError(`a constraint needs the model's tokenizer, and ${checkpoint.folder} has no tokenizer.json`)
  const [vocabulary] = await Promise.all([tokenizer.vocabulary(), tokenizer.checkConstraint(constraint)])
  if (!ends.hasVocabulary) ends.useVocabulary(vocabulary)
}

/** Prepares for constraints before there is one. Without effect where the model's tokens have no bytes of their own. */
export async function prepareForConstraints({
  ends,
  tokenizer,
}: Pick<DistributedModel, 'ends' | 'tokenizer'>): Promise<void> {
  const vocabulary = await tokenizer?.vocabulary().catch(() => undefined)
  if (vocabulary !== undefined && !ends.hasVocabulary) ends.useVocabulary(vocabulary, { isEarly: true })
}
