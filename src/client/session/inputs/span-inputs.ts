// Room inputs/: what the client keeps of the inputs of spans, so that a lost one can be computed again.

import type { Activations } from '../../../tensor/activations.ts'

/**
 * The inputs of one span, for positions 0 to `until` without gaps: what is sent to a new server when the span's server
 * is replaced.
 */
export interface SpanInputs {
  /** How many tokens the session's first piece had; Infinity while there was none. */
  firstTokens: number
  /** Positions 0 to `until` are held, `until` not included. */
  readonly until: number
  /** Writes inputs [tokens, hidden] for the positions from `position` on. */
  write(position: number, input: Activations): void
  /** Discards inputs from `position` on. */
  truncate(position: number): void
  /** Discards everything; a replay then has to recompute from an earlier server. */
  drop(): void
  /** Replaces the contents by what `source`, of the same kind, holds before `position`. */
  copyFrom(source: SpanInputs, position: number): void
  /** Inputs of positions `from` to `until`, [until - from, hidden]; undefined if some are missing. */
  range(from: number, until: number): Promise<Activations | undefined> | Activations | undefined
}
