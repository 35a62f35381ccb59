import type { Engine } from '../../engine/engine.ts'
import type { Discovery } from '../../swarm/records/discovery.ts'
import type { SwarmNode } from '../../swarm/node/node.ts'
import { PROTOCOL_VERSION } from '../../swarm/protocol-version.ts'
import type { RecordState, ServerRecord } from '../../swarm/records/record-fields.ts'

export interface AnnouncerModules {
  readonly node: SwarmNode
  readonly discovery: Discovery
}

/** What stays the same over a server's life. */
export type RecordBase = Pick<
  ServerRecord,
  'modelKey' | 'start' | 'end' | 'dtype' | 'quant' | 'kvDType' | 'device' | 'version' | 'clientAdapters'
> & { publicName?: string }

/** A record lives for two and a half periods: one may get lost. */
const ANNOUNCE_PERIOD_MS = 30_000
const RECORD_LIFETIME_MS = 75_000

/** Changes of the free cache are told when they matter to routing, not at each session. */
const CACHE_CHANGE = 0.25

/** Keeps the swarm's picture of this server true: at each change of state, and again before a record expires. */
export class Announcer {
  readonly #modules: AnnouncerModules
  readonly #base: RecordBase
  #state: RecordState = 'JOINING'
  #engine: Engine | undefined
  #throughput = 0
  #sequence = 0
  #timer: NodeJS.Timeout | undefined
  #announcedTokensLeft = 0

  constructor(modules: AnnouncerModules, base: RecordBase) {
    this.#modules = modules
    this.#base = base
  }

  /** Tokens per second of one decode step through the span; 0 while it is not measured. */
  get throughput(): number {
    return this.#throughput
  }

  get state(): RecordState {
    return this.#state
  }

  /** Announces the state now and every period from now on; OFFLINE is the last word. */
  async become(state: RecordState): Promise<void> {
    this.#state = state
    clearInterval(this.#timer)
    if (state !== 'OFFLINE') this.#timer = setInterval(() => void this.#announce(), ANNOUNCE_PERIOD_MS)
    await this.#announce()
  }

  /** From now on records tell what the loaded span can do. `throughput`: tokens/s of one decode step. */
  describe(engine: Engine, throughput: number): void {
    this.#engine = engine
    this.#throughput = throughput
  }

  /** Looks whether the free cache has changed enough to tell. */
  cacheChanged(): void {
    const left = this.#engine?.cacheTokensLeft ?? 0
    if (Math.abs(left - this.#announcedTokensLeft) < CACHE_CHANGE * (this.#engine?.cacheTokens ?? 0)) return
    if (this.#state === 'ONLINE') void this.#announce()
  }

  async #announce(): Promise<void> {
    const { node, discovery } = this.#modules
    // Whoever stopped the node first is not to be heard any more.
    if (!node.isStarted) return
    const now = Date.now()
    this.#sequence = Math.max(now, this.#sequence + 1)
    this.#announcedTokensLeft = this.#engine?.cacheTokensLeft ?? 0
    await discovery.announce({
      ...this.#base,
      peerId: node.peerId,
      protocol: PROTOCOL_VERSION,
      multiaddrs: node.multiaddrs,
      state: this.#state,
      cacheTokensLeft: this.#announcedTokensLeft,
      cacheTokens: this.#engine?.cacheTokens ?? 0,
      throughput: this.#throughput,
      adapters: [...(this.#engine?.adapters.names ?? [])],
      blockDigests: [...(this.#engine?.blockDigests ?? [])],
      sequence: this.#sequence,
      issuedAt: now,
      expiresAt: now + RECORD_LIFETIME_MS,
    })
  }
}
