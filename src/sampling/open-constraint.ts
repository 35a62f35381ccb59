import { UsageError } from '../base/errors.ts'
import { TextConstraint } from './grammar/text-constraint.ts'
import type { ResolvedOptions } from './options/options.ts'
import type { Workspace } from './workspace.ts'

/**
 * The constraint that checked options ask for, behind a prompt of `promptLength` tokens. Throws `USAGE` where the
 * thread does not know the vocabulary.
 */
export function openConstraint(
  { constraint, eosTokenIds = [] }: ResolvedOptions,
  promptLength: number,
  { grammars }: Workspace,
): TextConstraint | undefined {
  if (constraint === undefined) return undefined
  if (grammars === undefined) throw new UsageError('a constraint needs the tokens of a tokenizer, and none is there')
  return new TextConstraint(grammars, constraint, { promptLength, eosTokenIds })
}
