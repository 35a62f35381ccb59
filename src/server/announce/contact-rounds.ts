import { errorMessage } from '../../base/errors.ts'
import { pause } from '../../swarm/deadline.ts'
import type { Discovery } from '../../swarm/records/discovery.ts'
import { hostClass } from '../../swarm/guards/host-class.ts'
import { announcedPort, askContact } from '../../swarm/node/contact.ts'
import type { SwarmNode } from '../../swarm/node/node.ts'
import type { PeerTarget } from '../../swarm/address.ts'

/** What the rounds use, and whom they tell. */
export interface ContactRoundsModules {
  readonly node: SwarmNode
  readonly discovery: Discovery
  /** Called after each round: whether a peer could connect to this node; undefined if none answered. */
  readonly onReachable: (reachable: boolean | undefined) => void
}

const PERIOD_MS = 60_000
/** The pause between rounds while nobody has answered yet, as where a server is the first of its swarm. */
const FIRST_PERIOD_MS = 5000
/** Peers asked in a round besides the bootstrap peers: enough for a majority on whose clock is off. */
const ASK_SERVERS = 4

/**
 * Asks peers again and again how they see this server: whether they can connect to it, which it cannot find out by
 * itself, and what time it is.
 */
export class ContactRounds {
  readonly #modules: ContactRoundsModules
  readonly #periodMs: number
  readonly #stop = new AbortController()
  #wasReachable = true

  constructor(modules: ContactRoundsModules, periodMs = PERIOD_MS) {
    this.#modules = modules
    this.#periodMs = periodMs
  }

  start(): void {
    void this.#askForever()
  }

  stop(): void {
    this.#stop.abort()
  }

  async #askForever(): Promise<void> {
    let waitMs: number
    do {
      const answered = await this.#round()
      waitMs = (answered ? this.#periodMs : Math.min(FIRST_PERIOD_MS, this.#periodMs)) * (0.75 + Math.random() / 2)
    } while (await pause(waitMs, this.#stop.signal))
  }

  /** Asks once; returns whether anybody has answered. */
  async #round(): Promise<boolean> {
    const { node, onReachable } = this.#modules
    const port = announcedPort(node)
    const answers = await Promise.all(this.#peers().map((peer) => this.#ask(peer, port)))
    if (this.#stop.signal.aborted) return false
    const told = answers.filter((answer) => answer !== undefined)
    // A peer that sees another host than the announced one dials that; who has connected from as far away knows better.
    const inbound = new Set(node.connections.inboundHosts.map(hostClass))
    const reachable = told.length === 0 ? undefined : told.some(({ reachable, from }) => reachable || inbound.has(from))
    if (reachable === false && this.#wasReachable) {
      node.logger.warn(
        { addresses: node.multiaddrs, askedPeers: told.length },
        `no peer could connect to port ${port} of this server: open or forward it, or name the outer address ` +
          'with --announce; meanwhile only peers that it has connected to itself reach it',
      )
    }
    if (reachable !== undefined) this.#wasReachable = reachable
    onReachable(reachable)
    return reachable !== undefined
  }

  /** Whether a peer could connect back, and the class of network that it is in; undefined if it did not say. */
  async #ask(peer: PeerTarget, port: number | undefined): Promise<{ reachable: boolean; from: string } | undefined> {
    const { node } = this.#modules
    try {
      const { reachable } = await askContact(node, peer, port, this.#stop.signal)
      const host = node.connections.contactOf(peer.peerId)?.host
      return reachable === undefined || host === undefined ? undefined : { reachable, from: hostClass(host) }
    } catch (error) {
      node.logger.debug({ peerId: peer.peerId, reason: errorMessage(error) }, 'a peer did not say how it sees us')
      return undefined
    }
  }

  /** The bootstrap peers, and servers that are connected anyhow. */
  #peers(): PeerTarget[] {
    const { node, discovery } = this.#modules
    const known = new Set([node.peerId, ...node.bootstrapPeers.map(({ peerId }) => peerId)])
    const servers = discovery.directory
      .records()
      .filter(({ peerId }) => !known.has(peerId) && node.connections.has(peerId))
      .map(({ peerId }) => ({ peerId, multiaddrs: [] }))
    return [...node.bootstrapPeers, ...servers.slice(0, ASK_SERVERS)]
  }
}
