import { PetalsError } from '../../base/errors.ts'
import type { Constraint } from '../../sampling/grammar/constraint.ts'
import type { Vocabulary } from '../../sampling/grammar/tokens/vocabulary.ts'
import type { StreamState } from './stream.ts'

/** What the tokenizer's thread starts with. */
export interface TokenizerWorkerData {
  readonly folder: string
}

/** The calls that the tokenizer's thread answers. */
export interface TokenizerCalls {
  encode(request: { readonly text: string; readonly addSpecialTokens: boolean }): number[]
  decode(request: { readonly ids: readonly number[]; readonly skipSpecialTokens: boolean }): string
  /** Of many texts, in order. */
  advance(requests: readonly AdvanceRequest[]): AdvanceAnswer[]
  rest(request: StreamRequest): string
  vocabulary(request: Record<string, never>): Vocabulary
}

/** The call that the thread for constraints answers. */
export interface ConstraintCalls {
  check(request: { readonly constraint: Constraint }): void
}

/** Further ids of a text that is being decoded. */
export interface AdvanceRequest extends StreamRequest {
  readonly ids: readonly number[]
}

/** The text that they complete, or why one text alone failed. */
export type AdvanceAnswer = Advanced | { readonly failure: string }

/** What further ids have added to a text, and the state behind them. */
export interface Advanced {
  readonly state: StreamState
  readonly piece: string
}

interface StreamRequest {
  readonly state: StreamState
  readonly skipSpecialTokens: boolean
}

/** The error of a thread that cannot tokenize. */
export function tokenizerError(reason: string): PetalsError {
  return new PetalsError('TOKENIZER_FAILED', `the tokenizer failed: ${reason}`)
}
