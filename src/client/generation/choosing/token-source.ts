import type { ChoosingHead } from '../../../sampling/choosing-head.ts'

/** A model along one sequence. */
export interface TokenSource {
  /**
   * Tokens that it was fed before, where it has any and knows them: processors and criteria see them before the
   * prompt's.
   */
  readonly heldIds?: readonly number[] | undefined
  /** Feeds ids and gives the logits [vocab] after the last of them, valid until the next call. */
  next(ids: readonly number[]): Promise<Float32Array>
  /** Where its head can choose tokens itself: the way on which no logits come to this thread. */
  readonly beforeHead?: BeforeHead | undefined
}

export interface BeforeHead {
  readonly head: ChoosingHead
  /** Feeds ids and gives the last block's output [hidden] after the last of them. */
  feed(ids: readonly number[]): Promise<Float32Array>
}

/**
 * What a source gives after the tokens that it was fed, and the next one is chosen from: hidden states where its head
 * chooses, otherwise logits. Own functions among the options need logits on this thread.
 */
export function feed(
  source: TokenSource,
  ids: readonly number[],
  options: { readonly logitsProcessors?: readonly unknown[] | undefined },
): Promise<Float32Array> {
  return headFor(source, options)?.feed(ids) ?? source.next(ids)
}

/** The head that chooses tokens for such options, if one can. */
export function headFor(
  { beforeHead }: TokenSource,
  { logitsProcessors = [] }: { readonly logitsProcessors?: readonly unknown[] | undefined },
): BeforeHead | undefined {
  return logitsProcessors.length === 0 ? beforeHead : undefined
}
