import { errorMessage } from '../../base/errors.ts'
import type { PeerTarget } from '../address.ts'
import { SwarmError } from '../errors.ts'
import type { SwarmLogger } from '../logger.ts'
import { BootstrapLoop } from './bootstrap-loop.ts'
import { LanDiscovery, type LanOptions } from './lan-discovery.ts'

/** How long a node that knows no peer waits for one in the local network. */
const LAN_PATIENCE_MS = 3000

/** What the bootstrap peers need of their node. */
export interface BootstrapPeersModules {
  readonly peerId: string
  readonly swarmKey: Uint8Array | undefined
  /** Addresses, with `/p2p/`, to tell nodes of the local network; empty for a node that only dials. */
  readonly addresses: () => readonly string[]
  /** Has the node dial an address from now on, though it may be one that strangers could not have it dial. */
  readonly trust: (address: string) => void
  readonly dial: (target: PeerTarget, signal: AbortSignal) => Promise<void>
  readonly isConnected: (peerId: string) => boolean
  readonly logger: SwarmLogger
}

export interface BootstrapPeersOptions {
  /** The peers that the node's user has named. */
  readonly named: readonly PeerTarget[]
  /** Whether, and how, peers are looked for in the local network. */
  readonly lan: LanOptions | undefined
  /** Whether the node can begin a swarm alone: others find it where it listens. */
  readonly beginsAlone: boolean
}

/** The peers that a node stays connected with: those that its user has named, and those found on the LAN. */
export class BootstrapPeers {
  readonly #modules: BootstrapPeersModules
  readonly #options: BootstrapPeersOptions
  readonly #found: PeerTarget[] = []
  /** While the node is started. */
  #running: { readonly loop: BootstrapLoop; readonly lan: LanDiscovery | undefined } | undefined

  constructor(modules: BootstrapPeersModules, options: BootstrapPeersOptions) {
    this.#modules = modules
    this.#options = options
  }

  get targets(): readonly PeerTarget[] {
    return [...this.#options.named, ...this.#found]
  }

  /** Begins to dial them, and to look for others. */
  async start(): Promise<void> {
    const { dial, isConnected, logger } = this.#modules
    const loop = new BootstrapLoop(this.#options.named, {
      dial,
      isConnected,
      onFailure: (peerId, error) => logger.debug({ peerId, reason: errorMessage(error) }, 'bootstrap peer not reached'),
    })
    const lan = this.#options.lan && this.#lookOnLan(loop, this.#options.lan)
    this.#running = { loop, lan }
    loop.start()
    await lan?.start()
  }

  async stop(): Promise<void> {
    const running = this.#running
    this.#running = undefined
    running?.loop.stop()
    await running?.lan?.stop()
    this.#found.length = 0
  }

  /**
   * Resolves once one of them is connected. Where peers are only looked for on the LAN and none is found soon, a node
   * that can begins alone. Throws `SWARM_UNREACHABLE`, `SWARM_HANDSHAKE`, `SWARM_TIMEOUT`, or `SWARM_STATE` if the node
   * is not started.
   */
  async ready(timeoutMs: number, signal: AbortSignal | undefined): Promise<void> {
    if (this.#running === undefined) throw notStarted()
    const { loop, lan } = this.#running
    if (lan !== undefined && this.targets.length === 0) {
      await lan.first(LAN_PATIENCE_MS, signal)
      if (this.targets.length === 0 && !this.#options.beginsAlone) {
        const message = 'no node of this swarm answers in the local network: is one running with --mdns?'
        throw new SwarmError('SWARM_UNREACHABLE', message)
      }
    }
    await loop.ready(timeoutMs, signal)
  }

  /** A peer's last connection was closed: one of these is dialled again. */
  disconnected(peerId: string): void {
    this.#running?.loop.disconnected(peerId)
  }

  #lookOnLan(loop: BootstrapLoop, options: LanOptions): LanDiscovery {
    const { peerId, swarmKey, addresses, trust, logger } = this.#modules
    const onPeer = (target: PeerTarget): void => {
      if (this.#options.named.some((named) => named.peerId === target.peerId)) return
      logger.info({ peerId: target.peerId, multiaddrs: target.multiaddrs }, 'found a peer in the local network')
      for (const address of target.multiaddrs) trust(address)
      this.#found.push(target)
      loop.add(target)
    }
    return new LanDiscovery({ peerId, swarmKey, addresses, onPeer, logger }, options)
  }
}

/** The error of who uses a node that is not started. */
export function notStarted(): SwarmError {
  return new SwarmError('SWARM_STATE', 'the swarm node is not started')
}
