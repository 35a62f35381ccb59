import type { Engine } from '../../engine/engine.ts'
import type { Pace } from '../rates/pace.ts'
import { nextRtts } from './next-rtts.ts'
import type { Discovery } from '../../swarm/records/discovery.ts'
import type { SwarmNode } from '../../swarm/node/node.ts'
import { PROTOCOL_VERSION } from '../../swarm/protocol-version.ts'
import { WIRE_DTYPES } from '../../tensor/activations.ts'
import type { RecordState, ServerRecord } from '../../swarm/records/record-fields.ts'

export interface AnnouncerModules {
  readonly node: SwarmNode
  readonly discovery: Discovery
}

/** The fields of the record that stay the same while the server runs. */
export type RecordBase = Pick<
  ServerRecord,
  'modelKey' | 'start' | 'end' | 'dtype' | 'quant' | 'kvDType' | 'device' | 'version' | 'clientAdapters' | 'movable'
> & { publicName?: string }

/** A part of the cache that is taken, but for nobody who could not do without it. */
interface Spare {
  readonly parkedTokens: number
}

/** How often a record is announced. A record lives for two and a half periods, so that one may get lost. */
const ANNOUNCE_PERIOD_MS = 30_000
const RECORD_LIFETIME_MS = 75_000

/**
 * The change of free cache, as a share of the whole cache, that is announced at once: one that matters to routing, not
 * every session.
 */
const CACHE_CHANGE = 0.25

/** Announces this server's record: at each change of state, and again before the last record expires. */
export class Announcer {
  readonly #modules: AnnouncerModules
  #base: RecordBase
  #state: RecordState = 'JOINING'
  #engine: Engine | undefined
  #reachable: boolean | undefined
  #movingTo: number | undefined
  #pace: Pick<Pace, 'rates' | 'queueMs'> | undefined
  #spare: Spare | undefined
  #throughput = 0
  #sequence = 0
  #timer: NodeJS.Timeout | undefined
  #announcedTokensLeft = 0

  constructor(modules: AnnouncerModules, base: RecordBase) {
    this.#modules = modules
    this.#base = base
  }

  /**
   * Tokens per second of one session's decode steps through the idle span, 0 while it has not been measured: the best
   * of what was measured whenever a span had been loaded, since a busy machine only makes it less. Blocks are shared
   * out by it, so it must not rise and fall with the load.
   */
  get throughput(): number {
    return this.#throughput
  }

  /** What records say of the span and of its arithmetic. */
  get span(): Readonly<RecordBase> {
    return this.#base
  }

  /** The first block of the span that records name. */
  get start(): number {
    return this.#base.start
  }

  /** The block after its last. */
  get end(): number {
    return this.#base.end
  }

  get state(): RecordState {
    return this.#state
  }

  /** Changes the state, announces it now and, except for OFFLINE, every period from now on. */
  async become(state: RecordState): Promise<void> {
    this.#state = state
    clearInterval(this.#timer)
    if (state !== 'OFFLINE') this.#timer = setInterval(() => void this.#announce(), ANNOUNCE_PERIOD_MS)
    await this.#announce()
  }

  /** Sets what records say about the loaded span from now on; `pace` has what was measured on the idle span. */
  describe(engine: Engine, pace: Pick<Pace, 'rates' | 'queueMs'>, spare: Spare): void {
    this.#engine = engine
    this.#pace = pace
    this.#spare = spare
    this.#throughput = Math.max(this.#throughput, pace.rates.decode / (engine.end - engine.start))
  }

  /**
   * Sets the span that records name from now on. What was said of another span's engine no longer holds, nor what was
   * intended.
   */
  hold(start: number, end: number): void {
    this.#movingTo = undefined
    if (this.#base.start === start && this.#base.end === end) return
    this.#base = { ...this.#base, start, end }
    this.#engine = undefined
  }

  /** Tells that the server is about to hold the span that begins at `start`; undefined: that it is not. */
  async intend(start: number | undefined): Promise<void> {
    this.#movingTo = start
    await this.announce()
  }

  /** Sets whether other peers could connect to this server, and announces it if that is new. */
  async tellReachable(reachable: boolean | undefined): Promise<void> {
    if (reachable === this.#reachable) return
    this.#reachable = reachable
    await this.announce()
  }

  /** Announces the free cache if it has changed enough to matter to routing. */
  announceCacheChange(): void {
    const left = this.#tokensLeft
    if (Math.abs(left - this.#announcedTokensLeft) < CACHE_CHANGE * (this.#engine?.cacheTokens ?? 0)) return
    if (this.#state === 'ONLINE') void this.#announce()
  }

  /** Announces the server as it is now. Nothing happens once it is OFFLINE, or its node was stopped. */
  async announce(): Promise<void> {
    if (this.#state !== 'OFFLINE') await this.#announce()
  }

  /** Tokens that a new session can have: those that are free, and those of sessions that would give way to it. */
  get #tokensLeft(): number {
    const { cacheTokensLeft = 0, cacheTokens = 0 } = this.#engine ?? {}
    return Math.min(cacheTokens, cacheTokensLeft + (this.#spare?.parkedTokens ?? 0))
  }

  async #announce(): Promise<void> {
    const { node, discovery } = this.#modules
    // The node may have been stopped before this server: then nothing can be announced any more.
    if (!node.isStarted) return
    const now = Date.now()
    const { backwardTokens = 0 } = this.#engine ?? {}
    this.#sequence = Math.max(now, this.#sequence + 1)
    this.#announcedTokensLeft = this.#tokensLeft
    await discovery.announce({
      ...this.#base,
      peerId: node.peerId,
      protocol: PROTOCOL_VERSION,
      multiaddrs: node.multiaddrs,
      state: this.#state,
      cacheTokensLeft: this.#announcedTokensLeft,
      cacheTokens: this.#engine?.cacheTokens ?? 0,
      ...(this.#movingTo !== undefined && { movingTo: this.#movingTo }),
      ...(this.#reachable !== undefined && { reachable: this.#reachable }),
      throughput: this.throughput,
      prefillRate: this.#pace?.rates.prefill ?? 0,
      decodeRate: this.#pace?.rates.decode ?? 0,
      queueMs: this.#pace?.queueMs ?? 0,
      nextRtts: this.#state === 'ONLINE' ? nextRtts(node, discovery.directory.records(), this.#base) : {},
      wireDTypes: [...WIRE_DTYPES],
      adapters: [...(this.#engine?.adapters.names ?? [])],
      ...(backwardTokens > 0 && { backwardTokens }),
      blockDigests: [...(this.#engine?.blockDigests ?? [])],
      sequence: this.#sequence,
      issuedAt: now,
      expiresAt: now + RECORD_LIFETIME_MS,
    })
  }
}
