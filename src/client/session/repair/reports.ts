import type { RouteHop } from '../server/route-hop.ts'

/** A repair of a session. */
export interface Recovery {
  /** Servers that were given up, by peer id. */
  readonly lost: readonly string[]
  /** Seconds since the failed step began, including the time until the failure was noticed. */
  readonly seconds: number
  /** Tokens that new servers had to compute again. */
  readonly replayedTokens: number
  /** Why the step failed. */
  readonly reason: string
  /**
   * Whether some blocks are now computed in another arithmetic class (device, dtype, quantization) than before: what
   * follows may differ from what the lost servers would have given.
   */
  readonly arithmeticChanged: boolean
}

/** A session cannot go on just now, and waits for servers. */
export interface Waiting {
  /** Why it cannot go on, and what can be done. */
  readonly reason: string
  /** The blocks that nobody serves who can be reached; empty if something else is the matter. */
  readonly missingBlocks: readonly number[]
  /** How long it waits from now on, at most. */
  readonly seconds: number
}

/** The events of a session. */
export interface SessionEvents<Session> {
  /** The chain is complete: at first, and after each repair or move. */
  route: [readonly RouteHop[]]
  recovery: [Recovery]
  /** A step waits for servers; told soon after the wait began, and once more where it turns out why. */
  waiting: [Waiting]
  /** A session was made from this one; it has not been opened on servers yet. */
  fork: [Session]
  /** A server was lost, for this reason, whether or not a step was under way. */
  lost: [Error]
  /** The session was closed. */
  close: []
}
