import { errorMessage } from '../../base/errors.ts'
import { SwarmError } from '../errors.ts'
import { FrameStream, type RequestStream, type ServedStream, openingSide, servingSide } from '../frames/frame-stream.ts'
import type { SwarmLibp2p } from './libp2p.ts'
import { MAX_OUTBOUND_STREAMS, protocolId, type Rpc, type RpcLimits } from '../limits.ts'
import { type ByteStream, loopback } from '../frames/loopback.ts'
import type { SwarmLogger } from '../logger.ts'
import { type RpcTraffic, type Traffic, newTraffic } from '../frames/traffic.ts'

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
  readonly #own = new Set<Pick<FrameStream, 'abort'>>()

  constructor(logger: SwarmLogger, traffic: Traffic) {
    this.#logger = logger
    this.#traffic = traffic
  }

  get numStreams(): Partial<Record<Rpc, number>> {
    return Object.fromEntries(
      [...this.#services].map(([rpc, { streams }]) => [
        rpc,
        [...streams.values()].reduce((sum, count) => sum + count, 0),
      ]),
    )
  }

  add<R extends Rpc>(rpc: R, handler: RpcHandler<R>, limits: RpcLimits): void {
    if (this.#services.has(rpc)) throw new SwarmError('SWARM_STATE', `${rpc} already has a handler`)
    // The map holds handlers of all rpcs; each handler gets streams of its own rpc only.
    const stored = handler as unknown as Service['handler']
    this.#services.set(rpc, { handler: stored, limits, streams: new Map() })
  }

  remove(rpc: Rpc): void {
    this.#services.delete(rpc)
  }

  async registerAll(libp2p: SwarmLibp2p): Promise<void> {
    for (const rpc of this.#services.keys()) await this.register(libp2p, rpc)
  }

  async register(libp2p: SwarmLibp2p, rpc: Rpc): Promise<void> {
    const service = this.#services.get(rpc)
    if (service === undefined) return
    await libp2p.handle(
      protocolId(rpc),
      (stream, connection) => {
        this.#accept(rpc, service, stream, connection.remotePeer.toString(), this.#traffic[rpc])
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
    const stream: RequestStream<R> = new FrameStream(near, peerId, side, (error) => this.#reportListener(rpc, error))
    this.#own.add(stream)
    void stream.closed.then(() => this.#own.delete(stream))
    this.#accept(rpc, service, far, peerId, newTraffic())
    return stream
  }

  /** Aborts this node's streams to itself, as closing its connections does for streams to others. */
  abortOwn(): void {
    for (const stream of this.#own) stream.abort(new SwarmError('SWARM_STREAM_LOST', 'the node was stopped'))
  }

  /** Takes a new stream. Not async, so that the frame stream's listeners exist before any event. */
  #accept(rpc: Rpc, service: Service, bytes: ByteStream, peerId: string, traffic: RpcTraffic): void {
    const side = servingSide(rpc, service.limits)
    const stream = new FrameStream(bytes, peerId, side, (error) => this.#reportListener(rpc, error), traffic)
    const { streams, limits } = service
    const open = streams.get(peerId) ?? 0
    if (open >= limits.maxStreams) {
      traffic.refused += 1
      void stream
        .fail(new SwarmError('SWARM_BUSY', `peer ${peerId} already has ${open} ${rpc} streams open here`))
        .then(() => this.#letGo(stream))
      return
    }
    streams.set(peerId, open + 1)
    void stream.closed.then(() => {
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
