import { errorMessage } from '../../base/errors.ts'
import { SwarmError } from '../errors.ts'
import { FrameStream, type RequestStream, type ServedStream, openingSide, servingSide } from '../frames/frame-stream.ts'
import type { SwarmLibp2p } from './libp2p.ts'
import { MAX_OUTBOUND_STREAMS, MAX_SERVED_STREAMS, protocolId, type Rpc, type RpcLimits } from '../limits.ts'
import type { PeerGuard } from '../peer-rules.ts'
import { type ByteStream, loopback } from '../frames/loopback.ts'
import type { SwarmLogger } from '../logger.ts'
import type { Traffic } from '../frames/traffic.ts'

/** Serves one stream. */
export type RpcHandler<R extends Rpc> = (stream: ServedStream<R>) => Promise<void>

interface Service {
  readonly handler: (stream: FrameStream) => Promise<void>
  readonly limits: RpcLimits
  /** Number of open streams by peer. libp2p counts per connection, but a peer may have several connections. */
  readonly streams: Map<string, number>
}

/** How long a peer may keep its side of a stream open after the handler has ended. */
const LINGER_MS = 30_000

/** The rpcs that a node serves, and their open streams. */
export class RpcServer {
  readonly #logger: SwarmLogger
  readonly #traffic: Traffic
  readonly #services = new Map<Rpc, Service>()
  readonly #guard: PeerGuard
  readonly #own = new Set<Pick<FrameStream, 'abort'>>()
  #numServed = 0

  constructor(logger: SwarmLogger, traffic: Traffic, guard: PeerGuard) {
    this.#logger = logger
    this.#traffic = traffic
    this.#guard = guard
  }

  get numStreams(): Partial<Record<Rpc, number>> {
    return Object.fromEntries(
      [...this.#services].map(([rpc, { streams }]) => [
        rpc,
        [...streams.values()].reduce((sum, count) => sum + count, 0),
      ]),
    )
  }

  /** Serves an rpc once it is registered with libp2p. Throws `SWARM_STATE` if it is served already. */
  add<R extends Rpc>(rpc: R, handler: RpcHandler<R>, limits: RpcLimits): void {
    if (this.#services.has(rpc)) throw new SwarmError('SWARM_STATE', `${rpc} already has a handler`)
    // The map holds handlers of all rpcs; each handler gets streams of its own rpc only.
    const stored = handler as unknown as Service['handler']
    this.#services.set(rpc, { handler: stored, limits, streams: new Map() })
  }

  /** Serves an rpc no more; open streams go on. */
  remove(rpc: Rpc): void {
    this.#services.delete(rpc)
  }

  /** Registers all rpcs with a libp2p that was just started. */
  async registerAll(libp2p: SwarmLibp2p): Promise<void> {
    for (const rpc of this.#services.keys()) await this.register(libp2p, rpc)
  }

  /** Registers an rpc with libp2p; nothing where it is not served. */
  async register(libp2p: SwarmLibp2p, rpc: Rpc): Promise<void> {
    const service = this.#services.get(rpc)
    if (service === undefined) return
    await libp2p.handle(
      protocolId(rpc),
      (bytes, connection) => {
        const peerId = connection.remotePeer.toString()
        const stream = this.#frames(rpc, service, bytes, peerId)
        const refusal = this.#refusalOf(rpc, service, peerId)
        if (refusal === undefined) this.#accept(rpc, service, stream)
        else this.#refuse(rpc, stream, refusal)
      },
      {
        // Above our own limit, so that the peer is told why it is refused; libp2p would reset the stream without a
        // reason.
        maxInboundStreams: service.limits.maxStreams * 2,
        maxOutboundStreams: MAX_OUTBOUND_STREAMS,
      },
    )
  }

  /**
   * Opens a stream of this node to itself, within the process; it does not count as traffic. Throws `SWARM_PROTOCOL` if
   * the rpc is not served.
   */
  openOwn<R extends Rpc>(rpc: R, peerId: string): RequestStream<R> {
    const service = this.#services.get(rpc)
    if (service === undefined) throw new SwarmError('SWARM_PROTOCOL', `this node does not serve ${rpc}`)
    const [near, far] = loopback()
    const side = openingSide(rpc, service.limits)
    const report = (error: Error): void => this.#reportListener(rpc, error)
    const stream: RequestStream<R> = new FrameStream(near, { remotePeer: peerId, side, report })
    this.#own.add(stream)
    void stream.closed.then(() => this.#own.delete(stream))
    this.#accept(
      rpc,
      service,
      new FrameStream(far, { remotePeer: peerId, side: servingSide(rpc, service.limits), report }),
    )
    return stream
  }

  /** Aborts this node's streams to itself, as closing its connections does for streams to others. */
  abortOwn(): void {
    for (const stream of this.#own) stream.abort(new SwarmError('SWARM_STREAM_LOST', 'the node was stopped'))
  }

  /** The frames of a new stream of a peer, counted. To be called in the turn in which libp2p provides the stream. */
  #frames(rpc: Rpc, { limits }: Service, bytes: ByteStream, remotePeer: string): FrameStream {
    return new FrameStream(bytes, {
      remotePeer,
      side: servingSide(rpc, limits),
      report: (error) => this.#reportListener(rpc, error),
      traffic: this.#traffic[rpc],
      budgets: { bytes: this.#guard.received, requests: this.#guard.requests },
    })
  }

  /** Why a peer's stream is not served. */
  #refusalOf(rpc: Rpc, { streams, limits }: Service, peerId: string): SwarmError | undefined {
    if (!this.#guard.mayAsk(peerId, rpc))
      return new SwarmError(
        'SWARM_REFUSED',
        `this node computes for some peers only, and peer ${peerId} is none of them`,
      )
    const open = streams.get(peerId) ?? 0
    if (open >= limits.maxStreams)
      return new SwarmError('SWARM_BUSY', `peer ${peerId} already has ${open} ${rpc} streams open here`)
    if (this.#numServed >= MAX_SERVED_STREAMS)
      return new SwarmError('SWARM_BUSY', `peers have ${this.#numServed} streams open here already`)
    return undefined
  }

  #refuse(rpc: Rpc, stream: FrameStream, error: SwarmError): void {
    this.#traffic[rpc].refused += 1
    void stream.fail(error).then(() => this.#letGo(stream))
  }

  #accept(rpc: Rpc, service: Service, stream: FrameStream): void {
    const { streams } = service
    const peerId = stream.remotePeer
    streams.set(peerId, (streams.get(peerId) ?? 0) + 1)
    this.#numServed += 1
    void stream.closed.then(() => {
      this.#numServed -= 1
      const left = (streams.get(peerId) ?? 1) - 1
      if (left > 0) streams.set(peerId, left)
      else streams.delete(peerId)
    })
    void this.#serve(rpc, service.handler, stream)
  }

  async #serve(rpc: Rpc, handler: Service['handler'], stream: FrameStream): Promise<void> {
    try {
      await handler(stream)
      await stream.end()
    } catch (error) {
      this.#logger.debug({ rpc, peerId: stream.remotePeer, reason: errorMessage(error) }, 'a request failed')
      await stream.fail(error)
    }
    this.#letGo(stream)
  }

  #reportListener(rpc: Rpc, error: Error): void {
    this.#logger.warn({ rpc, reason: error.message }, 'a stream listener failed at the end of its stream')
  }

  #letGo(stream: FrameStream): void {
    const timer = setTimeout(
      () => stream.abort(new SwarmError('SWARM_TIMEOUT', 'the peer did not end its side')),
      LINGER_MS,
    )
    timer.unref()
    void stream.closed.then(() => clearTimeout(timer))
  }
}
