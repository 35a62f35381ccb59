import type { Tensor } from '../../tensor/tensor.ts'
import type { RequestAdapter } from '../remote/adapters/request-adapter.ts'
import type { RouteSpan } from '../remote/routes/route-request.ts'
import type { WireChoice } from '../remote/routes/wire-dtype.ts'

/** Which blocks to pass, and how. */
export interface PassOptions {
  readonly start: number
  readonly end: number
  /** Blocks at which the chain of servers must be cut; otherwise the router decides. */
  readonly cuts?: readonly number[] | undefined
  /**
   * Deep prompts [end - start, positions, hidden], added to each block's input at the first positions of every
   * sequence.
   */
  readonly prompts?: Tensor | undefined
  readonly adapter?: RequestAdapter | undefined
  /** The most time for one server's part; by default 300 s, and 600 s for a backward pass. */
  readonly timeoutMs?: number | undefined
  /** How long a piece is tried again after a failure, 60 s by default. */
  readonly recoveryTimeoutMs?: number | undefined
  /**
   * The form in which outputs travel; `auto`, the dtype of each server's arithmetic, by default. Gradients travel in
   * that dtype.
   */
  readonly wireDType?: WireChoice | undefined
  readonly signal?: AbortSignal | undefined
}

/** A server that will not do for a pass, and why. */
export interface Refusal {
  readonly span: RouteSpan
  readonly error: Error
}

/** What all pieces of one pass share. */
export interface PassPlan extends PassOptions {
  /** The tokens of a sequence whose gradient will be asked for; undefined where none will be. */
  readonly gradientTokens: number | undefined
  /** Digests of the weights that the pass has computed with, by block: all pieces go through the same ones. */
  readonly digests: Map<number, string>
  /** By peer id. */
  readonly refusals: Map<string, Refusal>
}

/** Blocks of one piece, and the input of the first of them: [rows, tokens, hidden]. */
export interface PieceRange {
  readonly start: number
  readonly end: number
  readonly input: Tensor
}

/** What one server computed of a piece, with the input that a backward pass needs. */
export interface PassPart {
  readonly span: RouteSpan
  readonly input: Tensor
}
