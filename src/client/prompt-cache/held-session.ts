import { orAborted } from '../../base/abort.ts'
import { errorCode } from '../../base/errors.ts'
import { commonPrefix } from '../../base/common-prefix.ts'
import type { BeforeHead, TokenSource } from '../generation/choosing/token-source.ts'
import type { CausalLMSession } from '../model/causal-session.ts'
import type { Recovery, Waiting } from '../session/repair/reports.ts'
import { type RouteHop, routeHops } from '../session/server/route-hop.ts'
import type { CacheKey } from './settings.ts'
import { Turns } from './turns.ts'

/** Told of what happens to the session of a request while it lasts. */
export interface RequestWatch {
  /** Its chain of servers: at the beginning where there is one already, and whenever it has changed. */
  readonly route?: ((hops: readonly RouteHop[]) => void) | undefined
  readonly recovery?: ((recovery: Recovery) => void) | undefined
  readonly waiting?: ((waiting: Waiting) => void) | undefined
}

/** A session of a prompt cache: in use by one request, or parked. Others may be forked from it in either state. */
export class HeldSession implements TokenSource {
  readonly session: CausalLMSession
  readonly key: CacheKey
  readonly maxLength: number
  readonly turns = new Turns()
  readonly beforeHead: BeforeHead
  /** The prompt of the request that uses it; undefined while it is parked. */
  #prompt: readonly number[] | undefined
  #watch: RequestWatch | undefined
  #prefilled = Promise.withResolvers<void>()
  #isPrefilled = false
  #closed = false
  #parkedIds: readonly number[] = []
  #replayedBefore = 0
  #cachedTokens = 0

  constructor(session: CausalLMSession, { key, maxLength }: { key: CacheKey; maxLength: number }) {
    this.session = session
    this.key = key
    this.maxLength = maxLength
    this.beforeHead = {
      head: session.beforeHead.head,
      feed: (ids, signal) => this.#step(() => session.feed(ids, signal)),
    }
    session.blocks.on('route', (hops) => this.#watch?.route?.(hops))
    session.blocks.on('recovery', (recovery) => this.#watch?.recovery?.(recovery))
    session.blocks.on('waiting', (waiting) => this.#watch?.waiting?.(waiting))
  }

  get isParked(): boolean {
    return this.#prompt === undefined
  }

  /** The tokens that it holds or, in use, will hold as far as that is known. */
  get ids(): readonly number[] {
    if (this.#prompt === undefined) return this.#parkedIds
    const held = this.session.heldIds ?? []
    return held.length > this.#prompt.length ? held : this.#prompt
  }

  /** Whether the prompt of the request that uses it has been computed, or will not be. */
  get isPrefilled(): boolean {
    return this.#isPrefilled
  }

  /** How many tokens of the prompt its servers did not have to compute for the request that uses it. */
  get cachedTokens(): number {
    return this.#cachedTokens
  }

  /** Begins a request, for which it holds the first `position` tokens of `prompt`; cuts back what is behind them. */
  use(prompt: readonly number[], position: number, watch: RequestWatch | undefined): void {
    if (this.session.position !== position) this.session.position = position
    this.#prompt = prompt
    this.#watch = watch
    const { links } = this.session.blocks
    if (links.length > 0) watch?.route?.(routeHops(links))
    this.#cachedTokens = position
    this.#replayedBefore = this.session.blocks.replayedTokens
    this.#prefilled = Promise.withResolvers()
    this.#isPrefilled = false
  }

  #end(): void {
    this.#isPrefilled = true
    this.#prefilled.resolve()
  }

  /**
   * Ends the request; no fork may be under way. From now on servers may give the room to others. False if there is
   * nothing worth keeping.
   */
  park(): boolean {
    this.#end()
    this.#parkedIds = this.session.heldIds ?? []
    this.#prompt = undefined
    this.#watch = undefined
    return this.#parkedIds.length > 0 && !this.isLost && this.session.blocks.park()
  }

  /**
   * Runs `work`, which forks from the session, once the prompt of the request that uses it is computed, between two
   * steps; what is parked stays where it is meanwhile. Rejects with the signal's reason if it is aborted before.
   */
  async lend<T>(work: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    await orAborted(this.#prefilled.promise, signal)
    try {
      return await this.turns.beside(() => {
        if (this.isParked) this.session.blocks.unpark()
        return work()
      }, signal)
    } finally {
      if (this.isParked && this.turns.isFree && !this.#closed) this.session.blocks.park()
    }
  }

  /** Whether a server has given its room to others, or none is left. */
  get isLost(): boolean {
    const { links } = this.session.blocks
    const reasons = links.map(({ remote }) => remote.lost)
    return reasons.some((lost) => errorCode(lost) === 'SESSION_DISPLACED') || !reasons.includes(undefined)
  }

  /** How many of the ids that come next in `ids` it holds or will hold; the last one is always left to be fed. */
  prefixOf(ids: readonly number[]): number {
    return Math.min(commonPrefix(ids, this.ids), ids.length - 1)
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#end()
    await this.session.close()
  }

  get heldIds(): readonly number[] | undefined {
    return this.session.heldIds
  }

  next(ids: readonly number[], signal?: AbortSignal): Promise<Float32Array> {
    return this.#step(() => this.session.next(ids, signal))
  }

  async #step(feed: () => Promise<Float32Array>): Promise<Float32Array> {
    try {
      return await this.turns.alone(feed)
    } finally {
      this.#end()
      const replayed = this.session.blocks.replayedTokens - this.#replayedBefore
      if (this.session.position <= this.#prompt!.length) this.#cachedTokens = Math.max(0, this.#cachedTokens - replayed)
    }
  }
}
