import type { StreamCloseEvent, StreamMessageEvent } from '@libp2p/interface'
import { errorCode, errorMessage } from '../../base/errors.ts'
import { SwarmError } from '../errors.ts'
import { RemoteError } from './remote-error.ts'
import { encodeFrame, type Frame, FrameDecoder } from './frame.ts'
import { FrameInbox, type FrameListener, type ReceiveOptions } from './frame-inbox.ts'
import { FrameOutbox, type SendOptions } from './frame-outbox.ts'
import { type RpcLimits, WRITE_STALL_MS } from '../limits.ts'
import type { ByteStream } from './loopback.ts'
import { newTraffic, type RpcTraffic } from './traffic.ts'

/** What a queued frame costs beside its bytes, so that empty frames cannot queue without bound. */
const FRAME_OVERHEAD_BYTES = 256

/** Frames that wait to be sent, as a multiple of the largest frame. */
const BACKLOG_FRAMES = 2

const END: Frame = { header: { kind: 'end' }, tensors: [] }

/**
 * Frames both ways over one libp2p stream. A killed peer looks to libp2p like an orderly close, so each side says `end`
 * in a frame of its own, and an end without it is a loss. Must be created in the turn in which libp2p hands out the
 * stream: events that fire before the listeners stand are lost.
 */
export class FrameStream {
  readonly remotePeer: string
  /** Resolves once both directions are closed, however that came; never rejects. */
  readonly closed: Promise<void>
  readonly #stream: ByteStream
  readonly #limits: RpcLimits
  readonly #inbox: FrameInbox
  readonly #outbox: FrameOutbox
  readonly #decoder: FrameDecoder
  readonly #resolveClosed: () => void
  readonly #report: (error: Error) => void
  readonly #traffic: RpcTraffic
  #abortError: Error | undefined
  #ending: Promise<void> | undefined

  /**
   * `report` hears of what a listener's `onEnd` throws: by then there is no stream left to end. `traffic` counts what
   * passes.
   */
  constructor(
    stream: ByteStream,
    remotePeer: string,
    limits: RpcLimits,
    report: (error: Error) => void,
    traffic = newTraffic(),
  ) {
    this.remotePeer = remotePeer
    this.#report = report
    this.#traffic = traffic
    this.#stream = stream
    this.#limits = limits
    const { promise, resolve } = Promise.withResolvers<void>()
    this.closed = promise
    this.#resolveClosed = resolve
    this.#inbox = new FrameInbox(() => this.#resumeReading())
    this.#outbox = new FrameOutbox(stream, BACKLOG_FRAMES * (limits.payloadBytes + limits.headerBytes), (error) =>
      this.abort(error),
    )
    this.#decoder = new FrameDecoder(limits, (frame, bytes) => this.#deliver(frame, bytes))
    stream.addEventListener('message', (event) => this.#read(event))
    stream.addEventListener('end', () => this.#finishReading())
    stream.addEventListener('close', (event) => this.#finish(event))
    // libp2p hands over what it had buffered in a microtask of its own, queued just above.
    queueMicrotask(() => this.#lookOnce())
  }

  /**
   * Sends one frame. Settles when the stream has taken it and would take more; until then the tensors' memory is in
   * use. Throws `SWARM_FRAME` (over the limits), `SWARM_STREAM_LOST`, `SWARM_TIMEOUT` (the peer takes nothing; the
   * stream is aborted), `SWARM_BACKLOG`, or the signal's reason (a frame that was already partly written takes the
   * stream with it).
   */
  async send(frame: Frame, options?: SendOptions): Promise<void> {
    if (this.#ending !== undefined) throw new SwarmError('SWARM_STATE', 'the stream was already ended on this side')
    const bytes = encodeFrame(frame, this.#limits)
    this.#traffic.framesSent += 1
    this.#traffic.bytesSent += bytes.byteLength
    await this.#outbox.write(bytes, options)
  }

  /**
   * The next frame, or null after the peer's explicit end. Throws `SWARM_STREAM_LOST` if the stream ended without one,
   * `SWARM_TIMEOUT` (the stream goes on), `RemoteError` for an error frame (the stream goes on), `SWARM_FRAME`.
   */
  receive(options?: ReceiveOptions): Promise<Frame | null> {
    return this.#inbox.receive(options)
  }

  /**
   * Hands every frame to the listener from now on, in the turn in which its last byte arrives; instead of `receive`.
   */
  onFrame(listener: FrameListener): void {
    try {
      this.#inbox.listen(listener)
    } catch (error) {
      this.abort(asError(error))
    }
  }

  /** Says that nothing more will be sent. Settles when that is handed to libp2p; never rejects. */
  end(): Promise<void> {
    this.#ending ??= this.#sayEnd(END)
    return this.#ending
  }

  /** Reports a fault to the peer in an `error` frame, and ends. Only errors raised on purpose tell their message. */
  async fail(error: unknown): Promise<void> {
    if (this.#ending !== undefined) return this.#ending
    const code = errorCode(error)
    const message = code === 'INTERNAL' ? 'internal error' : errorMessage(error).slice(0, 1000)
    await this.send({ header: { kind: 'error', fault: { code, message } }, tensors: [] }).catch(() => undefined)
    await this.end()
  }

  /** Closes both directions at once; whoever waits here gets this error, the peer `SWARM_STREAM_LOST`. */
  abort(error: Error): void {
    this.#abortError ??= error
    this.#stream.abort(error)
    this.#lookOnce()
  }

  async #sayEnd(last: Frame): Promise<void> {
    try {
      await this.#outbox.write(encodeFrame(last, this.#limits))
      await this.#stream.close({ signal: AbortSignal.timeout(WRITE_STALL_MS) })
    } catch {
      this.#stream.abort(new SwarmError('SWARM_STREAM_LOST', 'the stream could not be ended in order'))
    }
  }

  #read(event: StreamMessageEvent): void {
    try {
      if (event.data instanceof Uint8Array) this.#decoder.push(event.data)
      else for (const chunk of event.data) this.#decoder.push(chunk)
    } catch (error) {
      this.abort(asError(error))
    }
  }

  #deliver(frame: Frame, frameBytes: number): void {
    if (this.#inbox.ended) throw new SwarmError('SWARM_FRAME', 'a frame came after the last one')
    this.#traffic.framesReceived += 1
    this.#traffic.bytesReceived += frameBytes
    if (frame.header.kind === 'end') return this.#inbox.finish(null)
    const bytes = frameBytes + FRAME_OVERHEAD_BYTES
    if (frame.header.kind === 'error')
      this.#inbox.deliver({ error: new RemoteError(this.remotePeer, frame.header), bytes })
    else this.#inbox.deliver({ frame, bytes })
    if (this.#inbox.queuedBytes > this.#limits.queueBytes && this.#stream.readStatus === 'readable')
      this.#stream.pause()
  }

  #resumeReading(): void {
    if (this.#stream.readStatus !== 'paused' || this.#inbox.queuedBytes > this.#limits.queueBytes / 2) return
    try {
      this.#stream.resume()
    } catch {
      // Closed meanwhile; libp2p throws when it wants to tell the peer.
    }
    this.#lookOnce()
  }

  #finishReading(): void {
    if (this.#inbox.ended) return
    const where = this.#decoder.midFrame ? 'in the middle of a frame' : 'without its last frame'
    const error =
      this.#abortError ?? new SwarmError('SWARM_STREAM_LOST', `the stream with peer ${this.remotePeer} ended ${where}`)
    try {
      this.#inbox.finish(error)
    } catch (fault) {
      this.#report(asError(fault))
    }
    this.#outbox.fail(error)
    this.#stream.abort(error)
  }

  #finish(event?: StreamCloseEvent): void {
    if (event?.error !== undefined) this.#abortError ??= lostBy(this.remotePeer, event.error)
    // A paused stream still has bytes to give; its `end` comes after them.
    if (this.#stream.readBufferLength === 0) this.#finishReading()
    this.#outbox.fail(
      this.#abortError ?? new SwarmError('SWARM_STREAM_LOST', `the stream with peer ${this.remotePeer} is closed`),
    )
    this.#resolveClosed()
  }

  #lookOnce(): void {
    if (this.#stream.readableEnded) this.#finishReading()
    if (this.#stream.status !== 'open' && this.#stream.status !== 'closing') this.#finish()
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new SwarmError('SWARM_STATE', String(error))
}

function lostBy(peerId: string, cause: Error): Error {
  return cause instanceof SwarmError
    ? cause
    : new SwarmError('SWARM_STREAM_LOST', `the stream with peer ${peerId} was lost: ${cause.message}`, { cause })
}
