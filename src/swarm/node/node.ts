/*
 * node/: one peer of the swarm. Its identity, the libp2p node with its limits, who may call it and how often, and
 * dialling others. The topmost room: it puts guards/, frames/ and records/ together.
 */
import type { PrivateKey } from '@libp2p/interface'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { VERSION } from '../../base/version.ts'
import {
  checkTcpAddress,
  groupByPeer,
  parseAddress,
  parsePeerAddress,
  parsePeerId,
  type PeerTarget,
} from '../address.ts'
import { BootstrapPeers, notStarted } from './bootstrap-peers.ts'
import { ClockVotes } from './clock-votes.ts'
import { Connections } from '../connections.ts'
import { Dialler } from './dialler.ts'
import { DialGuard } from '../guards/dial-guard.ts'
import type { RequestStream } from '../frames/frame-stream.ts'
import type { LanOptions } from './lan-discovery.ts'
import type { Libp2pMetrics, SwarmLibp2p } from './libp2p.ts'
import { OPEN_TIMEOUT_MS, protocolId, RPC_LIMITS, type Rpc, type RpcLimits } from '../limits.ts'
import { resolveJoining } from './join-token.ts'
import type { SwarmLogger } from '../logger.ts'
import { PeerGuard, type PeerRules } from '../peer-rules.ts'
import { RecordVerifier } from '../records/record.ts'
import { RecordExchange } from '../records/record-exchange.ts'
import { type RpcHandler, RpcServer } from './rpc-server.ts'
import { startLibp2p } from './start-libp2p.ts'
import type { Tracing } from './tracing.ts'
import { trafficByRpc } from '../frames/traffic.ts'

export type { SwarmLogger } from '../logger.ts'

/** How a node is made. */
export interface SwarmNodeOptions {
  identity: PrivateKey
  /** Multiaddrs to listen on; empty for a node that only dials. */
  listen?: readonly string[]
  /** Addresses to tell other peers instead of those listened on, e.g. behind a NAT or in a container. */
  announce?: readonly string[]
  /** Addresses, with `/p2p/`, of peers to stay connected with, or join tokens, which may have the key as well. */
  bootstrap?: readonly string[]
  /** Whether, and how, peers of the swarm are looked for in the local network; they count as bootstrap peers. */
  lan?: LanOptions | undefined
  /** The 32 bytes of a private swarm's key: only peers with the same key can connect. */
  swarmKey?: Uint8Array | undefined
  /** Whom it serves, and what each peer may take. */
  peers?: PeerRules
  /** Creates libp2p's metrics. */
  metrics?: Libp2pMetrics | undefined
  /** Takes spans of the requests that this node makes and serves. */
  tracing?: Tracing | undefined
  logger: SwarmLogger
}

/** Checks the options and builds a node without starting it. Throws `SWARM_ADDRESS`, `SWARM_TOKEN`, `SWARM_KEY`. */
export async function createSwarmNode(options: SwarmNodeOptions): Promise<SwarmNode> {
  return new SwarmNode(options)
}

interface ListeningNode {
  readonly components: { readonly transportManager: { getAddrs(): { toString(): string }[] } }
}

/** A peer of the swarm: a libp2p node with our request protocols. */
export class SwarmNode {
  readonly peerId: string
  readonly identity: PrivateKey
  readonly logger: SwarmLogger
  readonly tracing: Tracing | undefined
  /** Verifies records for everything that uses this node, so that no signature is checked twice. */
  readonly verifier = new RecordVerifier()
  /** The exchange of server records, started by whoever needs it and shared by all that use this node. */
  readonly records: RecordExchange
  readonly swarmKey: Uint8Array | undefined
  /** Bootstrap addresses that name this node's own identity. */
  readonly ownAddresses: readonly string[]
  /** What peers' clocks say of this machine's. */
  readonly clocks: ClockVotes
  readonly traffic = trafficByRpc()
  /** Who is connected with this node. */
  readonly connections: Connections
  /** Whom this node serves, and what its peers take of it. */
  readonly peerGuard: PeerGuard
  /**
   * The device of the span that this process serves, if it serves one. Other computation in this process may use it,
   * too.
   */
  servingDevice: string | undefined
  readonly #bootstrap: BootstrapPeers
  readonly #listen: readonly string[]
  readonly #announce: readonly string[]
  readonly #metrics: Libp2pMetrics | undefined
  readonly #rpcs: RpcServer
  readonly #guard: DialGuard
  readonly #dialler: Dialler
  #running: SwarmLibp2p | undefined
  #transition: Promise<void> = Promise.resolve()

  constructor({
    identity,
    listen = ['/ip4/0.0.0.0/tcp/0'],
    announce = [],
    bootstrap = [],
    lan,
    swarmKey,
    peers = {},
    metrics,
    tracing,
    logger,
  }: SwarmNodeOptions) {
    for (const address of [...listen, ...announce]) checkTcpAddress(address)
    this.identity = identity
    this.peerId = peerIdFromPrivateKey(identity).toString()
    this.logger = logger
    this.tracing = tracing
    const joining = resolveJoining(bootstrap, swarmKey)
    const named = groupByPeer(joining.addresses)
    this.ownAddresses = named.filter(({ peerId }) => peerId === this.peerId).flatMap(({ multiaddrs }) => multiaddrs)
    this.clocks = new ClockVotes(logger)
    this.swarmKey = joining.swarmKey
    this.#metrics = metrics
    this.#listen = listen
    this.#announce = announce
    this.peerGuard = new PeerGuard(peers)
    this.#rpcs = new RpcServer(logger, this.traffic, this.peerGuard)
    this.#guard = new DialGuard({ listen, announce, trusted: joining.addresses })
    this.#dialler = new Dialler({
      libp2p: () => this.libp2p,
      ownPeerId: this.peerId,
      hasSwarmKey: joining.swarmKey !== undefined,
      traffic: this.traffic,
      logger,
    })
    this.connections = new Connections(() => this.#running, logger)
    this.#bootstrap = new BootstrapPeers(
      {
        peerId: this.peerId,
        swarmKey: this.swarmKey,
        addresses: () => this.multiaddrs,
        trust: (address) => this.#guard.trust(address),
        dial: (target, signal) => this.#dialBootstrap(target, signal),
        isConnected: (peerId) => this.connections.has(peerId),
        logger,
      },
      { named: named.filter(({ peerId }) => peerId !== this.peerId), lan, beginsAlone: listen.length > 0 },
    )
    this.records = new RecordExchange(this, { version: VERSION })
  }

  /** The peers that this node stays connected with: those that its user has named, and those found on the LAN. */
  get bootstrapPeers(): readonly PeerTarget[] {
    return this.#bootstrap.targets
  }

  /** The running libp2p node. Throws `SWARM_STATE` if it is not started. */
  get libp2p(): SwarmLibp2p {
    if (this.#running === undefined) throw notStarted()
    return this.#running
  }

  get isStarted(): boolean {
    return this.#running !== undefined
  }

  /** The addresses at which this node can be dialled, each with `/p2p/`; empty if it is not started. */
  get multiaddrs(): string[] {
    return this.#running?.getMultiaddrs().map(String) ?? []
  }

  /** The addresses that this node listens on, whatever it announces; wildcards stand for all interfaces. */
  get listenedAddresses(): string[] {
    // The address manager is no part of libp2p's interface, which has announced addresses only.
    const node = this.#running as unknown as Partial<ListeningNode> | undefined
    return node?.components?.transportManager.getAddrs().map(String) ?? []
  }

  /** The number of streams that peers have open here, by rpc. */
  get numServedStreams(): Partial<Record<Rpc, number>> {
    return this.#rpcs.numStreams
  }

  /** Listens and begins to dial the bootstrap peers. Throws `SWARM_LISTEN`; the node is stopped again then. */
  start(): Promise<void> {
    return this.#inTurn(() => this.#start())
  }

  /** Closes all connections. May be called at any time and repeatedly; afterwards `start` works again. */
  stop(): Promise<void> {
    return this.#inTurn(() => this.#stop())
  }

  /**
   * Resolves once a bootstrap peer is connected. Where peers are only looked for on the LAN and none is found soon, a
   * node that listens begins alone. Throws `SWARM_UNREACHABLE`, `SWARM_HANDSHAKE`, `SWARM_TIMEOUT`, or `SWARM_STATE` if
   * the node is not started.
   */
  async ready({
    timeoutMs = OPEN_TIMEOUT_MS,
    signal,
  }: { timeoutMs?: number; signal?: AbortSignal } = {}): Promise<void> {
    await this.#bootstrap.ready(timeoutMs, signal)
  }

  /**
   * Serves an rpc with a handler, one per rpc; may be called before `start`. The handler owns the stream until its
   * promise settles; then the stream is ended, after an `error` message if the promise rejected.
   */
  async handle<R extends Rpc>(rpc: R, handler: RpcHandler<R>, limits: RpcLimits = RPC_LIMITS[rpc]): Promise<void> {
    this.#rpcs.add(rpc, handler, limits)
    if (this.#running !== undefined) await this.#rpcs.register(this.#running, rpc)
  }

  /** Serves an rpc no more; open streams go on. */
  async unhandle(rpc: Rpc): Promise<void> {
    this.#rpcs.remove(rpc)
    await this.#running?.unhandle(protocolId(rpc))
  }

  /**
   * Opens a stream to a peer, over an existing connection if there is one; to this node itself within the process.
   * Throws `SWARM_UNREACHABLE`, `SWARM_PROTOCOL`, `SWARM_TIMEOUT`, `SWARM_ADDRESS`, or the signal's reason.
   */
  async open<R extends Rpc>(
    peer: PeerTarget,
    rpc: R,
    { signal }: { signal?: AbortSignal } = {},
  ): Promise<RequestStream<R>> {
    if (!this.isStarted) throw notStarted()
    signal?.throwIfAborted()
    if (peer.peerId === this.peerId) return this.#rpcs.openOwn(rpc, this.peerId)
    return this.#dialler.open(peer, rpc, signal)
  }

  /** Dials an address with `/p2p/` that the user has named, and returns the peer's id. Throws as `open`. */
  async connect(address: string, { signal }: { signal?: AbortSignal } = {}): Promise<string> {
    const target = parsePeerAddress(address)
    this.#guard.trust(address)
    await this.#dialler.dial(target, signal)
    return target.peerId
  }

  /** Connects to a peer at addresses that its record names, if it is not connected. Throws as `open`. */
  async dial(peer: PeerTarget, { signal }: { signal?: AbortSignal } = {}): Promise<void> {
    if (!this.connections.has(peer.peerId)) await this.#dialler.dial(peer, signal)
  }

  /** Whether this node may be made to connect to an address by somebody else's word. */
  mayDial(address: string): boolean {
    return this.#guard.admits(parseAddress(address))
  }

  /**
   * Dials a bootstrap peer and tags it, so that libp2p keeps the connection when it closes some because there are too
   * many.
   */
  async #dialBootstrap(target: PeerTarget, signal: AbortSignal): Promise<void> {
    await this.#dialler.dial(target, signal)
    await this.libp2p.peerStore.merge(parsePeerId(target.peerId), { tags: { 'petals-bootstrap': { value: 100 } } })
  }

  /** Runs starts and stops one after another, so that they never overlap. */
  #inTurn(step: () => Promise<void>): Promise<void> {
    const done = this.#transition.then(step)
    this.#transition = done.catch(() => undefined)
    return done
  }

  async #start(): Promise<void> {
    if (this.#running !== undefined) return
    this.#running = await startLibp2p(
      {
        identity: this.identity,
        listen: this.#listen,
        announce: this.#announce,
        verifier: this.verifier,
        guard: this.#guard,
        swarmKey: this.swarmKey,
        metrics: this.#metrics,
      },
      {
        isBlocked: (peerId) => this.peerGuard.isBlocked(peerId),
        onDisconnect: (peerId) => {
          this.#bootstrap.disconnected(peerId)
          this.connections.tellDisconnected(peerId)
        },
        register: (libp2p) => this.#rpcs.registerAll(libp2p),
      },
    )
    try {
      await this.#bootstrap.start()
    } catch (error) {
      await this.#stop()
      throw error
    }
  }

  async #stop(): Promise<void> {
    const running = this.#running
    if (running === undefined) return
    await this.#bootstrap.stop()
    this.#running = undefined
    this.#rpcs.abortOwn()
    await running.stop()
  }
}
