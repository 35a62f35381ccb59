import { setImmediate as nextTurn } from 'node:timers/promises'
import { errorCode, errorMessage } from '../../../src/base/errors.ts'
import { SwarmError } from '../../../src/swarm/errors.ts'
import { RemoteError } from '../../../src/swarm/frames/remote-error.ts'
import { FrameDecoder, encodeFrame } from '../../../src/swarm/frames/frame.ts'
import { FrameInbox, type MessageListener, type ReceiveOptions } from '../../../src/swarm/frames/frame-inbox.ts'
import {
  type FrameStream,
  type RequestStream,
  type StreamSide,
  openingSide,
  servingSide,
} from '../../../src/swarm/frames/frame-stream.ts'
import type { AnyMessage } from '../../../src/swarm/frames/messages.ts'
import { RPC_LIMITS, type Rpc } from '../../../src/swarm/limits.ts'

/** Serves a stream of some rpc. */
export type Handler = (stream: FrameStream) => Promise<void>

/** What a class offers, without its private parts, so that a test can offer the same. */
type PublicPart<T> = { [K in keyof T]: T[K] }

/** A peer of a network in memory. */
export class MemoryPeer {
  readonly id: string
  readonly handlers = new Map<Rpc, Handler>()
  readonly streams = new Set<MemoryStream>()
  /** A frozen peer holds its streams open, takes nothing in and says nothing. */
  frozen = false
  /**
   * How long frames are under way to a peer, by its id; one turn of the event loop where nothing is said; with
   * Infinity they never arrive.
   */
  readonly lagMs = new Map<string, number>()
  /** The most frames that went one after another, each sent once the one before it had come, up to now. */
  numWays = 0

  constructor(id: string) {
    this.id = id
  }
}

/** Peers that can be killed and frozen; frames go as real bytes, within the real limits. */
export class MemoryNetwork {
  readonly #peers = new Map<string, MemoryPeer>()

  join(id: string): MemoryPeer {
    const peer = new MemoryPeer(id)
    this.#peers.set(id, peer)
    return peer
  }

  has(id: string): boolean {
    return this.#peers.has(id)
  }

  async open<R extends Rpc>(from: MemoryPeer, to: string, rpc: R, signal?: AbortSignal): Promise<RequestStream<R>> {
    await nextTurn()
    const peer = this.#peers.get(to)
    const handler = peer?.handlers.get(rpc)
    if (peer === undefined || handler === undefined) throw new SwarmError('SWARM_UNREACHABLE', `peer ${to} is gone`)
    if (peer.frozen) await aborted(signal)
    const [near, far] = MemoryStream.pair(from, peer, rpc)
    handler(far).then(
      () => far.end(),
      (error: unknown) => far.fail(error),
    )
    return near as unknown as RequestStream<R>
  }

  /** The peer is gone at once: its streams are lost, what it still computes reaches nobody. */
  kill(id: string): void {
    const streams = this.#peers.get(id)?.streams ?? []
    this.#peers.delete(id)
    for (const stream of streams) stream.abort(new SwarmError('SWARM_STREAM_LOST', `peer ${id} was killed`))
  }

  killAll(): void {
    for (const id of this.#peers.keys()) this.kill(id)
  }
}

/** Like the real open: rejects with the signal's reason. */
function aborted(signal: AbortSignal | undefined): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>()
  signal?.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
  return promise
}

/** One end of a stream between two peers. */
class MemoryStream implements PublicPart<FrameStream> {
  readonly remotePeer: string
  readonly closed: Promise<void>
  readonly #resolveClosed: () => void
  readonly #owner: MemoryPeer
  readonly #side: StreamSide
  readonly #inbox = new FrameInbox<AnyMessage>(
    () => undefined,
    () => false,
  )
  readonly #wire: FrameDecoder
  #other: MemoryStream | undefined
  #ended = false
  #sent = 0
  #arrived = 0
  #lost: Error | undefined

  static pair(a: MemoryPeer, b: MemoryPeer, rpc: Rpc): [FrameStream, FrameStream] {
    const near = new MemoryStream(a, b.id, openingSide(rpc, RPC_LIMITS[rpc])),
      far = new MemoryStream(b, a.id, servingSide(rpc, RPC_LIMITS[rpc]))
    near.#other = far
    far.#other = near
    const ends: [PublicPart<FrameStream>, PublicPart<FrameStream>] = [near, far]
    return ends as [FrameStream, FrameStream]
  }

  constructor(owner: MemoryPeer, remotePeer: string, side: StreamSide) {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.closed = promise
    this.#resolveClosed = resolve
    this.#owner = owner
    this.remotePeer = remotePeer
    this.#side = side
    this.#wire = new FrameDecoder(side.outgoing, side.limits, (message, bytes) => this.#carry(message, bytes))
    owner.streams.add(this)
  }

  get bytesRead(): number {
    return this.#arrived
  }

  get bytesTaken(): number {
    return this.#sent
  }

  async send(message: AnyMessage): Promise<void> {
    if (this.#lost !== undefined)
      throw new SwarmError('SWARM_STREAM_LOST', `the stream with peer ${this.remotePeer} is closed`)
    if (this.#ended) throw new SwarmError('SWARM_STATE', 'the stream was already ended on this side')
    const bytes = encodeFrame(message, this.#side.outgoing, this.#side.limits)
    this.#sent += bytes.byteLength
    for (const chunk of bytes instanceof Uint8Array ? [bytes] : bytes) this.#wire.push(chunk)
  }

  receive(options?: ReceiveOptions): Promise<AnyMessage | null> {
    return this.#inbox.receive(options)
  }

  listen(listener: MessageListener<AnyMessage>): void {
    this.#inbox.listen(listener)
  }

  countFor(): void {}

  releaseReceived(): void {}

  async end(): Promise<void> {
    if (this.#ended || this.#lost !== undefined) return
    await this.send({ kind: 'end' })
    this.#ended = true
    this.#closeIfDone()
  }

  async fail(error: unknown): Promise<void> {
    if (this.#ended || this.#lost !== undefined) return
    await this.send({ kind: 'error', code: errorCode(error), message: errorMessage(error) } as AnyMessage)
    await this.end()
  }

  abort(error: Error): void {
    if (this.#lost !== undefined) return
    this.#lost = error
    this.#inbox.finish(error)
    this.#close()
    setImmediate(() =>
      this.#other!.abort(new SwarmError('SWARM_STREAM_LOST', `the stream with peer ${this.remotePeer} was lost`)),
    )
  }

  #carry(message: AnyMessage, bytes: number): void {
    const lagMs = this.#owner.lagMs.get(this.remotePeer)
    if (lagMs === Infinity) return
    const numWays = this.#owner.numWays + 1
    const arrive = (): void => this.#other!.#arrive(message, bytes, numWays)
    if (lagMs === undefined) setImmediate(arrive)
    else setTimeout(arrive, lagMs)
  }

  #arrive(message: AnyMessage, bytes: number, numWays: number): void {
    if (this.#lost !== undefined || this.#owner.frozen) return
    this.#owner.numWays = Math.max(this.#owner.numWays, numWays)
    this.#arrived += bytes
    if (message.kind === 'end') {
      this.#inbox.finish(null)
      this.#closeIfDone()
    } else if (message.kind === 'error') {
      this.#inbox.deliver({
        error: new RemoteError(this.remotePeer, message as AnyMessage & { code: string; message: string }),
        bytes: 0,
      })
    } else {
      this.#inbox.deliver({ message, bytes: 0, hold: { begin: () => undefined, end: () => undefined } })
    }
  }

  #closeIfDone(): void {
    if (this.#ended && this.#inbox.ended) this.#close()
  }

  #close(): void {
    this.#owner.streams.delete(this)
    this.#resolveClosed()
  }
}
