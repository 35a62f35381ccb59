import type { EmbeddedIds } from './inputs/root-inputs.ts'

/** What is wanted of a step. */
export interface StepOptions {
  /** How many of the last rows of the output are sent back; by default all. The end of a prompt needs one. */
  readonly rows?: number | undefined
  /** The ids that the hidden states, or their last rows, were made of; they are kept in place of these. */
  readonly from?: EmbeddedIds | undefined
  /**
   * Ends the step: the session then holds what all servers have computed of it. If servers are just being sought or
   * replaced, it is closed.
   */
  readonly signal?: AbortSignal | undefined
}
