import { dialAddresses, parsePeerId, type PeerTarget } from '../address.ts'
import { withDeadline } from '../deadline.ts'
import { SwarmError } from '../errors.ts'
import { FrameStream, type RequestStream, openingSide } from '../frames/frame-stream.ts'
import type { Traffic } from '../frames/traffic.ts'
import { MAX_OUTBOUND_STREAMS, OPEN_TIMEOUT_MS, RPC_LIMITS, protocolId, type Rpc } from '../limits.ts'
import type { SwarmLogger } from '../logger.ts'
import { describeDialError } from './dial-errors.ts'
import type { SwarmLibp2p } from './libp2p.ts'

/** How many peers with another protocol version are remembered, so that each is warned of once. */
const MAX_MISMATCHED = 256

/** What dials. */
export interface DiallerModules {
  /** The running node. Throws `SWARM_STATE` if there is none. */
  readonly libp2p: () => SwarmLibp2p
  readonly ownPeerId: string
  readonly hasSwarmKey: boolean
  /** Counts what goes over the streams that are opened. */
  readonly traffic: Traffic
  readonly logger: SwarmLogger
}

/** Connections and streams to other peers; a failure says what was the matter. */
export class Dialler {
  readonly #modules: DiallerModules
  /** Peers with another protocol version that were warned of. */
  readonly #mismatched = new Set<string>()

  constructor(modules: DiallerModules) {
    this.#modules = modules
  }

  /**
   * Connects to a peer. Throws `SWARM_SELF`, `SWARM_UNREACHABLE`, `SWARM_HANDSHAKE`, `SWARM_TIMEOUT`, `SWARM_ADDRESS`,
   * or the signal's reason.
   */
  async dial(peer: PeerTarget, signal: AbortSignal | undefined): Promise<void> {
    if (peer.peerId === this.#modules.ownPeerId)
      throw new SwarmError('SWARM_SELF', `${peer.multiaddrs.join(', ')} is this node itself`)
    const libp2p = this.#modules.libp2p()
    await withDeadline(`dialling peer ${peer.peerId}`, OPEN_TIMEOUT_MS, signal, async (signal) =>
      libp2p.dial(dialAddresses(peer), { signal }),
    ).catch((error: unknown) => this.#fail(error, peer, undefined, signal))
  }

  /** Opens a stream, over an existing connection if there is one. Throws as `dial`, and `SWARM_PROTOCOL`. */
  async open<R extends Rpc>(peer: PeerTarget, rpc: R, signal: AbortSignal | undefined): Promise<RequestStream<R>> {
    const { traffic, logger } = this.#modules
    const libp2p = this.#modules.libp2p()
    const id = parsePeerId(peer.peerId)
    const isConnected = libp2p.getConnections(id).length > 0
    const target = isConnected || peer.multiaddrs.length === 0 ? id : dialAddresses(peer)
    const opening = withDeadline(`opening ${rpc} with peer ${peer.peerId}`, OPEN_TIMEOUT_MS, signal, async (signal) =>
      libp2p.dialProtocol(target, protocolId(rpc), { signal, maxOutboundStreams: MAX_OUTBOUND_STREAMS }),
    )
    const stream = await opening.catch((error: unknown) => this.#fail(error, peer, rpc, signal))
    // Nothing must be awaited between libp2p's promise and this line: events before the listeners exist are missed.
    return new FrameStream(stream, {
      remotePeer: peer.peerId,
      side: openingSide(rpc, RPC_LIMITS[rpc]),
      report: ({ message }) =>
        logger.warn({ rpc, reason: message }, 'a stream listener failed at the end of its stream'),
      traffic: traffic[rpc],
    })
  }

  async #fail(error: unknown, peer: PeerTarget, rpc: Rpc | undefined, signal: AbortSignal | undefined): Promise<never> {
    if (signal?.aborted) throw signal.reason
    const { hasSwarmKey } = this.#modules
    const described = await describeDialError(error, { libp2p: this.#modules.libp2p(), peer, rpc, hasSwarmKey })
    if (described instanceof SwarmError && described.code === 'SWARM_VERSION')
      this.#warnOfVersion(peer.peerId, described)
    throw described
  }

  /** Warns of a peer with another protocol version, once: the peer is met again at every refresh. */
  #warnOfVersion(peerId: string, { message }: SwarmError): void {
    if (this.#mismatched.has(peerId) || this.#mismatched.size >= MAX_MISMATCHED) return
    this.#mismatched.add(peerId)
    this.#modules.logger.warn(message)
  }
}
