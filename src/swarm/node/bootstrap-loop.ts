import { errorMessage } from '../../base/errors.ts'
import type { PeerTarget } from '../address.ts'
import { pause, withDeadline } from '../deadline.ts'
import { SwarmError } from '../errors.ts'

/** What the loop needs of the node. */
export interface BootstrapModules {
  dial(target: PeerTarget, signal: AbortSignal): Promise<void>
  isConnected(peerId: string): boolean
  /** Called with each failed dial, to log it. */
  onFailure(peerId: string, error: unknown): void
}

const FIRST_RETRY_MS = 500
const MAX_RETRY_MS = 30_000
/** How often a connected peer is checked; a disconnect is noticed at once. */
const CHECK_MS = 15_000

interface Watched {
  readonly target: PeerTarget
  readonly firstTry: PromiseWithResolvers<void>
  wake: AbortController
}

function watch(target: PeerTarget): Watched {
  const firstTry = Promise.withResolvers<void>()
  firstTry.promise.catch(() => undefined)
  return { target, firstTry, wake: new AbortController() }
}

/**
 * Keeps bootstrap peers connected while the node lives. libp2p's own bootstrap module dials once, and its keep-alive
 * gives a peer up for good after half a minute.
 */
export class BootstrapLoop {
  readonly #modules: BootstrapModules
  readonly #peers: Watched[]
  readonly #stop = new AbortController()

  constructor(targets: readonly PeerTarget[], modules: BootstrapModules) {
    this.#modules = modules
    this.#peers = targets.map(watch)
  }

  /** Keeps one more peer connected. */
  add(target: PeerTarget): void {
    const peer = watch(target)
    this.#peers.push(peer)
    void this.#keep(peer)
  }

  start(): void {
    for (const peer of this.#peers) void this.#keep(peer)
  }

  stop(): void {
    this.#stop.abort()
    for (const peer of this.#peers) {
      peer.wake.abort()
      peer.firstTry.reject(new SwarmError('SWARM_STATE', 'the node was stopped'))
    }
  }

  /** A peer's last connection was closed: it is dialled again. */
  disconnected(peerId: string): void {
    this.#peers.find(({ target }) => target.peerId === peerId)?.wake.abort()
  }

  /**
   * Resolves once a bootstrap peer has been reached, or at once if there are none. Throws `SWARM_UNREACHABLE` or
   * `SWARM_HANDSHAKE` once all of them have failed; the loop keeps trying.
   */
  async ready(timeoutMs: number, signal?: AbortSignal): Promise<void> {
    if (this.#peers.length === 0 || this.#peers.some(({ target }) => this.#modules.isConnected(target.peerId))) return
    await withDeadline('no bootstrap peer has answered', timeoutMs, signal, async (ended) => {
      const { promise, reject } = Promise.withResolvers<never>()
      ended.addEventListener('abort', () => reject(ended.reason), { once: true })
      try {
        await Promise.race([Promise.any(this.#peers.map(({ firstTry }) => firstTry.promise)), promise])
      } catch (error) {
        if (!(error instanceof AggregateError)) throw error
        const reasons = error.errors.map(errorMessage)
        const refused = error.errors.every(
          (reason) => reason instanceof SwarmError && reason.code === 'SWARM_HANDSHAKE',
        )
        if (refused)
          throw new SwarmError('SWARM_HANDSHAKE', `no bootstrap peer took the handshake (${reasons.join('; ')})`)
        throw new SwarmError(
          'SWARM_UNREACHABLE',
          `no bootstrap peer could be reached (${reasons.join('; ')}): check that it runs and that the ` +
            'address is right',
        )
      }
    })
  }

  async #keep(peer: Watched): Promise<void> {
    const { dial, isConnected, onFailure } = this.#modules
    const { peerId } = peer.target
    let failures = 0
    while (!this.#stop.signal.aborted) {
      peer.wake = new AbortController()
      try {
        if (!isConnected(peerId)) await dial(peer.target, this.#stop.signal)
        failures = 0
        peer.firstTry.resolve()
      } catch (error) {
        if (this.#stop.signal.aborted) return
        failures += 1
        peer.firstTry.reject(error)
        onFailure(peerId, error)
      }
      const waitMs = failures === 0 ? CHECK_MS : Math.min(MAX_RETRY_MS, FIRST_RETRY_MS * 2 ** (failures - 1))
      await pause(waitMs * (0.75 + Math.random() / 2), failures === 0 ? peer.wake.signal : this.#stop.signal)
    }
  }
}
