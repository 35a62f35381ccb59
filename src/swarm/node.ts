import type { PrivateKey, Stream } from '@libp2p/interface'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import type { Logger } from 'pino'
import { errorMessage } from '../base/errors.ts'
import { checkTcpAddress, dialAddresses, groupByPeer, parsePeerAddress, parsePeerId, type PeerTarget } from './address.ts'
import { BootstrapLoop } from './bootstrap.ts'
import { withDeadline } from './deadline.ts'
import { SwarmError } from './errors.ts'
import { FrameStream } from './frame-stream.ts'
import { buildLibp2p, type SwarmLibp2p } from './libp2p.ts'
import { MAX_OUTBOUND_STREAMS, OPEN_TIMEOUT_MS, protocolId, RPC_LIMITS, type Rpc, type RpcLimits } from './limits.ts'
import { RecordVerifier } from './record.ts'
import { type RpcHandler, RpcServer } from './rpc-server.ts'

export type SwarmLogger = Pick<Logger, 'debug' | 'info' | 'warn'>

export interface SwarmNodeOptions {
  identity: PrivateKey
  /** Multiaddrs to listen on; empty for a node that only dials. */
  listen?: readonly string[]
  /** What to tell others instead of the addresses listened on: behind a NAT or in a container. */
  announce?: readonly string[]
  /** Addresses, with `/p2p/`, of peers to be connected with at all times. */
  bootstrap?: readonly string[]
  logger: SwarmLogger
}

/** Checks the options and builds a node that is not started yet. Throws `SWARM_ADDRESS`. */
export async function createSwarmNode(options: SwarmNodeOptions): Promise<SwarmNode> {
  return new SwarmNode(options)
}

interface Running {
  readonly libp2p: SwarmLibp2p
  readonly bootstrap: BootstrapLoop
}

/** A peer of the swarm: a libp2p node that speaks the request protocols. */
export class SwarmNode {
  readonly peerId: string
  readonly identity: PrivateKey
  readonly logger: SwarmLogger
  /** Shared by all that verifies records here, so that no signature is checked twice. */
  readonly verifier = new RecordVerifier()
  readonly bootstrapPeers: readonly PeerTarget[]
  readonly #listen: readonly string[]
  readonly #announce: readonly string[]
  readonly #rpcs: RpcServer
  readonly #disconnectListeners = new Set<(peerId: string) => void>()
  #running: Running | undefined
  #transition: Promise<void> = Promise.resolve()

  constructor({ identity, listen = ['/ip4/0.0.0.0/tcp/0'], announce = [], bootstrap = [], logger }: SwarmNodeOptions) {
    for (const address of [...listen, ...announce]) checkTcpAddress(address)
    this.identity = identity
    this.peerId = peerIdFromPrivateKey(identity).toString()
    this.logger = logger
    this.bootstrapPeers = groupByPeer(bootstrap).filter(({ peerId }) => peerId !== this.peerId)
    this.#listen = listen
    this.#announce = announce
    this.#rpcs = new RpcServer(logger)
  }

  /** The running libp2p node. Throws `SWARM_STATE` while there is none. */
  get libp2p(): SwarmLibp2p {
    if (this.#running === undefined) throw new SwarmError('SWARM_STATE', 'the swarm node is not started')
    return this.#running.libp2p
  }

  get isStarted(): boolean {
    return this.#running !== undefined
  }

  /** Where this node can be dialled, each with `/p2p/`; empty while it is not started. */
  get multiaddrs(): string[] {
    return this.#running?.libp2p.getMultiaddrs().map(String) ?? []
  }

  get numPeers(): number {
    return this.#running?.libp2p.getPeers().length ?? 0
  }

  /** Streams that peers hold open here, by rpc. */
  get numServedStreams(): Partial<Record<Rpc, number>> {
    return this.#rpcs.numStreams
  }

  /** Listens and begins to dial the bootstrap peers. Throws `SWARM_LISTEN`; what was begun is undone then. */
  start(): Promise<void> {
    return this.#inTurn(() => this.#start())
  }

  /** Closes all connections. May be called at any time and more than once; `start` works again afterwards. */
  stop(): Promise<void> {
    return this.#inTurn(() => this.#stop())
  }

  /** Resolves once a bootstrap peer is connected. Throws `SWARM_UNREACHABLE`, `SWARM_TIMEOUT`. */
  async ready({ timeoutMs = OPEN_TIMEOUT_MS, signal }: { timeoutMs?: number, signal?: AbortSignal } = {}): Promise<void> {
    if (this.#running === undefined) throw new SwarmError('SWARM_STATE', 'the swarm node is not started')
    await this.#running.bootstrap.ready(timeoutMs, signal)
  }

  /**
   * Serves an rpc. The handler owns the stream until its promise settles: then the stream is ended, after an `error` frame
   * if it rejected. May be called before `start`; one handler per rpc.
   */
  async handle(rpc: Rpc, handler: RpcHandler, limits: RpcLimits = RPC_LIMITS[rpc]): Promise<void> {
    this.#rpcs.add(rpc, handler, limits)
    if (this.#running !== undefined) await this.#rpcs.register(this.#running.libp2p, rpc)
  }

  async unhandle(rpc: Rpc): Promise<void> {
    this.#rpcs.remove(rpc)
    await this.#running?.libp2p.unhandle(protocolId(rpc))
  }

  /**
   * A new stream to a peer, over the connection with it if there is one. Throws `SWARM_SELF`, `SWARM_UNREACHABLE`,
   * `SWARM_PROTOCOL`, `SWARM_TIMEOUT`, `SWARM_ADDRESS`, or the signal's reason.
   */
  async open(peer: PeerTarget, rpc: Rpc, { signal }: { signal?: AbortSignal } = {}): Promise<FrameStream> {
    if (peer.peerId === this.peerId) {
      throw new SwarmError('SWARM_SELF', `peer ${peer.peerId} is this node: use its own span in process`)
    }
    const { libp2p } = this
    const target = this.isConnected(peer.peerId) || peer.multiaddrs.length === 0 ? parsePeerId(peer.peerId) : dialAddresses(peer)
    const stream = await withDeadline(`opening ${rpc} with peer ${peer.peerId}`, OPEN_TIMEOUT_MS, signal,
      async (signal) => openStream(libp2p, target, rpc, signal))
      .catch((error: unknown) => { throw signal?.aborted ? signal.reason : describeDialError(peer, rpc, error) })
    // No await between libp2p's promise and this: events before the listeners would be lost.
    return new FrameStream(stream, peer.peerId, RPC_LIMITS[rpc], (error) => this.#reportListener(rpc, error))
  }

  /** Dials an address with `/p2p/` and gives the peer's id. Throws like `open`. */
  async connect(address: string, { signal }: { signal?: AbortSignal } = {}): Promise<string> {
    const target = parsePeerAddress(address)
    await this.#dial(target, signal)
    return target.peerId
  }

  isConnected(peerId: string): boolean {
    return this.#running !== undefined && this.#running.libp2p.getConnections(parsePeerId(peerId)).length > 0
  }

  /** Calls `listener` when the last connection with a peer is closed, until the returned function is called. */
  onPeerDisconnect(listener: (peerId: string) => void): () => void {
    this.#disconnectListeners.add(listener)
    return () => this.#disconnectListeners.delete(listener)
  }

  async #dial(target: PeerTarget, signal?: AbortSignal): Promise<void> {
    if (target.peerId === this.peerId) throw new SwarmError('SWARM_SELF', `${target.multiaddrs.join(', ')} is this node itself`)
    const { libp2p } = this
    await withDeadline(`dialling peer ${target.peerId}`, OPEN_TIMEOUT_MS, signal,
      async (signal) => libp2p.dial(dialAddresses(target), { signal }))
      .catch((error: unknown) => { throw signal?.aborted ? signal.reason : describeDialError(target, undefined, error) })
  }

  /** The tag keeps the connection when libp2p has too many and closes some. */
  async #dialBootstrap(target: PeerTarget, signal: AbortSignal): Promise<void> {
    await this.#dial(target, signal)
    await this.libp2p.peerStore.merge(parsePeerId(target.peerId), { tags: { 'petals-bootstrap': { value: 100 } } })
  }

  /** start and stop never overlap, in whatever order they are called. */
  #inTurn(step: () => Promise<void>): Promise<void> {
    const done = this.#transition.then(step)
    this.#transition = done.catch(() => undefined)
    return done
  }

  async #start(): Promise<void> {
    if (this.#running !== undefined) return
    const libp2p = await buildLibp2p({
      identity: this.identity, listen: this.#listen, announce: this.#announce, verifier: this.verifier,
    })
    libp2p.addEventListener('peer:disconnect', (event) => this.#disconnected(event.detail.toString()))
    try {
      await this.#rpcs.registerAll(libp2p)
      await libp2p.start()
    } catch (error) {
      await Promise.resolve(libp2p.stop()).catch(() => undefined)
      throw describeListenError(this.#listen, error)
    }
    const bootstrap = new BootstrapLoop(this.bootstrapPeers, {
      dial: (target, signal) => this.#dialBootstrap(target, signal),
      isConnected: (peerId) => this.isConnected(peerId),
      onFailure: (peerId, error) => this.logger.debug({ peerId, reason: errorMessage(error) }, 'bootstrap peer not reached'),
    })
    this.#running = { libp2p, bootstrap }
    bootstrap.start()
  }

  async #stop(): Promise<void> {
    const running = this.#running
    if (running === undefined) return
    running.bootstrap.stop()
    this.#running = undefined
    await running.libp2p.stop()
  }

  #disconnected(peerId: string): void {
    this.#running?.bootstrap.disconnected(peerId)
    for (const listener of this.#disconnectListeners) {
      try {
        listener(peerId)
      } catch (error) {
        this.logger.warn({ reason: errorMessage(error) }, 'a listener for disconnects failed')
      }
    }
  }

  #reportListener(rpc: Rpc, error: Error): void {
    this.logger.warn({ rpc, reason: error.message }, 'a stream listener failed at the end of its stream')
  }
}

async function openStream(
  libp2p: SwarmLibp2p, target: Parameters<SwarmLibp2p['dialProtocol']>[0], rpc: Rpc, signal: AbortSignal,
): Promise<Stream> {
  return await libp2p.dialProtocol(target, protocolId(rpc), { signal, maxOutboundStreams: MAX_OUTBOUND_STREAMS })
}

function describeDialError(peer: PeerTarget, rpc: Rpc | undefined, error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof SwarmError) return error
  if (error.name === 'UnsupportedProtocolError') {
    return new SwarmError('SWARM_PROTOCOL', `peer ${peer.peerId} does not serve ${rpc}`, { cause: error })
  }
  const where = peer.multiaddrs.length === 0 ? 'without known addresses' : `at ${peer.multiaddrs.join(', ')}`
  return new SwarmError('SWARM_UNREACHABLE', `peer ${peer.peerId} ${where} cannot be reached: ${errorMessage(error)}`, { cause: error })
}

function describeListenError(listen: readonly string[], error: unknown): unknown {
  if (!(error instanceof Error) || error.name !== 'UnsupportedListenAddressesError') return error
  const reason = error.message.includes('EADDRINUSE') ? 'the port is in use; choose another, or 0 for any free one'
    : error.message.slice(error.message.indexOf('\n')).replaceAll(/\s+/g, ' ').trim()
  return new SwarmError('SWARM_LISTEN', `cannot listen on ${listen.join(', ')}: ${reason}`, { cause: error })
}
