import { EventEmitter } from 'node:events'
import { errorCode } from '../../base/errors.ts'
import { RemoteError } from '../../swarm/frames/remote-error.ts'

interface StatsEvents {
  /** A step was computed: its tokens, and the seconds since its turn in its session came. */
  step: [tokens: number, seconds: number]
  /** A session has ended after so many seconds. */
  session: [seconds: number]
}

/** Counts of what a server has done since it started, for its metrics; what takes time is an event as well. */
export class ServerStats extends EventEmitter<StatsEvents> {
  sessionsOpened = 0
  /** Steps computed for sessions, and the tokens in them. */
  steps = 0
  stepTokens = 0
  /** Passes over whole sequences that were computed, and their tokens. */
  readonly passes = { forward: { count: 0, tokens: 0 }, backward: { count: 0, tokens: 0 } }
  /** Requests and steps that failed, by error code. */
  readonly failures = new Map<string, number>()

  stepped(tokens: number, seconds: number): void {
    this.steps += 1
    this.stepTokens += tokens
    this.emit('step', tokens, seconds)
  }

  passed(kind: 'forward' | 'backward', tokens: number): void {
    const passes = this.passes[kind]
    passes.count += 1
    passes.tokens += tokens
  }

  failed(error: unknown): void {
    // A peer can send any word as a code: as metric labels they would grow without bound.
    const code = error instanceof RemoteError ? 'REMOTE' : errorCode(error)
    this.failures.set(code, (this.failures.get(code) ?? 0) + 1)
  }
}
