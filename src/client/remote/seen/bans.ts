import { errorCode, isTransient } from '../../../base/errors.ts'

/** Why a server is avoided. */
type Reason = 'lost' | 'slow' | 'full' | 'wrong'

/**
 * How long a server is avoided at first, by the reason; twice as long each time it fails so again, up to `MAX_BAN_MS`.
 * A full one has room again soon, one that told something wrong will hardly mend.
 */
const BAN_MS: Readonly<Record<Reason, number>> = { lost: 15_000, slow: 15_000, full: 5000, wrong: 120_000 }
const MAX_BAN_MS = 600_000

/** Codes of errors that do not mean that the server is lost. */
const REASONS: Readonly<Record<string, Reason>> = {
  CACHE_FULL: 'full',
  CACHE_OUTGROWN: 'full',
  SESSION_DISPLACED: 'full',
  SWARM_BUSY: 'full',
  TIMEOUT: 'slow',
  SWARM_TIMEOUT: 'slow',
  SESSION_ANSWER: 'wrong',
  SWARM_FRAME: 'wrong',
  TENSOR_NONFINITE: 'wrong',
  TENSOR_SHAPE: 'wrong',
}

interface Ban {
  readonly until: number
  readonly lengthMs: number
}

/** Servers that are avoided because they have failed. Each reason has a ban of its own, which grows by itself. */
export class Bans {
  readonly #bans = new Map<string, Map<Reason, Ban>>()

  /** The servers that are avoided now, by peer id. */
  current(): ReadonlySet<string> {
    const now = Date.now()
    const banned = [...this.#bans].filter(([, bans]) => [...bans.values()].some(({ until }) => until > now))
    return new Set(banned.map(([peerId]) => peerId))
  }

  /** A server has failed. An error that no other server would cure bans nobody. */
  failed(peerId: string, error: Error): void {
    const reason = REASONS[errorCode(error)] ?? (isTransient(error) ? 'lost' : undefined)
    if (reason === undefined) return
    this.#forgetOld()
    const bans = this.#bans.get(peerId) ?? new Map<Reason, Ban>()
    this.#bans.set(peerId, bans)
    const now = Date.now()
    const ban = bans.get(reason)
    if (ban !== undefined && ban.until > now) return
    const lengthMs = ban === undefined ? BAN_MS[reason] : Math.min(ban.lengthMs * 2, MAX_BAN_MS)
    bans.set(reason, { until: now + lengthMs, lengthMs })
  }

  /**
   * A server has done its work: bans that are over are forgotten, so that the next one is short again. Not those for
   * something wrong: who lies now and then does work in between.
   */
  worked(peerId: string): void {
    const bans = this.#bans.get(peerId)
    if (bans === undefined) return
    const now = Date.now()
    for (const [reason, { until }] of bans) if (until <= now && reason !== 'wrong') bans.delete(reason)
    if (bans.size === 0) this.#bans.delete(peerId)
  }

  #forgetOld(): void {
    const now = Date.now()
    for (const [peerId, bans] of this.#bans) {
      for (const [reason, { until }] of bans) if (until + MAX_BAN_MS < now) bans.delete(reason)
      if (bans.size === 0) this.#bans.delete(peerId)
    }
  }
}
