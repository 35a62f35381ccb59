import type { ChoosingHead } from '../../../sampling/choosing-head.ts'

/** A model that is fed the tokens of one sequence. */
export interface TokenSource {
  /**
   * The tokens that it was fed before, if it was fed any and knows them. Processors and criteria see them before the
   * prompt's.
   */
  readonly heldIds?: readonly number[] | undefined
  /** Feeds ids; returns the logits [vocab] after the last one, valid until the next call. `signal`: as for `feed`. */
  next(ids: readonly number[], signal?: AbortSignal): Promise<Float32Array>
  /** If the model's head can choose tokens itself: the way to feed ids without logits coming to this thread. */
  readonly beforeHead?: BeforeHead | undefined
}

/** A head that chooses tokens, and what it is given. */
export interface BeforeHead {
  readonly head: ChoosingHead
  /** Feeds ids; returns the last block's output [hidden] at the last one. May reject once `signal` is aborted. */
  feed(ids: readonly number[], signal?: AbortSignal): Promise<Float32Array>
}

/**
 * Feeds ids; returns what the next token is chosen from: the hidden state if the head chooses, otherwise the logits.
 */
export function feed(
  source: TokenSource,
  ids: readonly number[],
  options: { readonly logitsProcessors?: readonly unknown[] | undefined; readonly signal?: AbortSignal | undefined },
): Promise<Float32Array> {
  return headFor(source, options)?.feed(ids, options.signal) ?? source.next(ids, options.signal)
}

/**
 * The head that chooses tokens with these options; undefined if tokens must be chosen on this thread, because the
 * options include the caller's own logits processors, or the source has no such head.
 */
export function headFor(
  { beforeHead }: TokenSource,
  { logitsProcessors = [] }: { readonly logitsProcessors?: readonly unknown[] | undefined },
): BeforeHead | undefined {
  return logitsProcessors.length === 0 ? beforeHead : undefined
}
