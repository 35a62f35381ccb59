import type { Libp2p } from '@libp2p/interface'
import { errorMessage } from '../base/errors.ts'
import { hostOf, parsePeerId } from './address.ts'
import type { SwarmLogger } from './logger.ts'

/** How a peer is connected. */
export interface PeerContact {
  /** The IP address that the peer is connected at, or from. */
  readonly host: string
  /** Whether this node has dialled the peer. */
  readonly dialled: boolean
}

type RunningNode = Pick<Libp2p, 'getPeers' | 'getConnections'>

/** Who is connected with a node, and how; nobody while it is not started. */
export class Connections {
  readonly #libp2p: () => RunningNode | undefined
  readonly #logger: SwarmLogger
  readonly #listeners = new Set<(peerId: string) => void>()

  /** `libp2p` returns the running node, if it runs. */
  constructor(libp2p: () => RunningNode | undefined, logger: SwarmLogger) {
    this.#libp2p = libp2p
    this.#logger = logger
  }

  /** Number of connected peers. */
  get numPeers(): number {
    return this.#libp2p()?.getPeers().length ?? 0
  }

  /** Whether a peer is connected. */
  has(peerId: string): boolean {
    return this.#with(peerId).length > 0
  }

  /** How a peer is connected with this node; undefined if it is not. */
  contactOf(peerId: string): PeerContact | undefined {
    const connections = this.#with(peerId)
    const dialled = connections.find(({ direction }) => direction === 'outbound')
    const connection = dialled ?? connections[0]
    const host = connection === undefined ? undefined : hostOf(connection.remoteAddr)
    return host === undefined ? undefined : { host, dialled: dialled !== undefined }
  }

  /** The hosts of peers that have connected to this node. */
  get inboundHosts(): string[] {
    const connections = this.#libp2p()?.getConnections() ?? []
    return connections
      .filter(({ direction }) => direction === 'inbound')
      .flatMap(({ remoteAddr }) => hostOf(remoteAddr) ?? [])
  }

  /** The round trip to a connected peer in milliseconds, as measured last. */
  rttMs(peerId: string): number | undefined {
    return this.#with(peerId).find(({ rtt }) => rtt !== undefined)?.rtt
  }

  /** Ends all connections with a peer that has broken the rules; it may connect again. */
  dismiss(peerId: string, reason: Error): void {
    this.#logger.warn({ peerId, reason: reason.message }, 'a peer broke the rules: its connection is ended')
    for (const connection of this.#with(peerId)) connection.abort(reason)
  }

  /** Calls `listener` whenever the last connection with a peer is closed. Returns the function that ends this. */
  onDisconnect(listener: (peerId: string) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Tells all listeners that the last connection with a peer was closed. */
  tellDisconnected(peerId: string): void {
    for (const listener of this.#listeners) {
      try {
        listener(peerId)
      } catch (error) {
        this.#logger.warn({ reason: errorMessage(error) }, 'a listener for disconnects failed')
      }
    }
  }

  #with(peerId: string) {
    return this.#libp2p()?.getConnections(parsePeerId(peerId)) ?? []
  }
}
