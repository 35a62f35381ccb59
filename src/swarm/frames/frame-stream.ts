import { setTimeout as sleep } from 'node:timers/promises'
import type { StreamCloseEvent } from '@libp2p/interface'
import { errorCode, errorMessage } from '../../base/errors.ts'
import { SwarmError } from '../errors.ts'
import { type Rpc, type RpcLimits, WRITE_STALL_MS } from '../limits.ts'
import { CODECS, type MessageCodec } from './codec.ts'
import { encodeFrame } from './frame.ts'
import { FrameInbox, type MessageListener, type ReceiveOptions } from './frame-inbox.ts'
import { FrameIntake, type IntakeBudgets } from './frame-intake.ts'
import { FrameReader } from './frame-reader.ts'
import { FrameOutbox, type SendOptions } from './frame-outbox.ts'
import type { ByteStream } from './loopback.ts'
import type { Answer, AnyMessage, CommonMessage, Request } from './messages.ts'
import { newTraffic, type RpcTraffic } from './traffic.ts'

/** The most bytes of frames that may wait to be sent, as a multiple of the largest frame. */
const BACKLOG_FRAMES = 2

/** Answers that may wait for a peer to read them; beyond that nothing more is read from it. */
const MAX_WAITING_ANSWERS = 32

/** How long to wait until a peer has been told why its message was refused. */
const REFUSAL_MS = 1000

/** The messages that one side of a stream sends and receives, and their limits. */
export interface StreamSide {
  readonly outgoing: MessageCodec
  readonly incoming: MessageCodec
  readonly limits: RpcLimits
}

/** The side that opens a stream. */
export function openingSide(rpc: Rpc, limits: RpcLimits): StreamSide {
  const { requests, answers } = CODECS[rpc]
  return { outgoing: requests, incoming: answers, limits }
}

/** The side that serves a stream. */
export function servingSide(rpc: Rpc, limits: RpcLimits): StreamSide {
  const { requests, answers } = CODECS[rpc]
  return { outgoing: answers, incoming: requests, limits }
}

/**
 * A stream of an rpc, seen from the side that opened it (`RequestStream`) and from the side that serves it
 * (`ServedStream`).
 */
export type RequestStream<R extends Rpc> = FrameStream<Request<R>, Answer<R>>
export type ServedStream<R extends Rpc> = FrameStream<Answer<R>, Request<R>>

/** Whose stream it is, and what counts and limits it. */
export interface FrameStreamOptions {
  readonly remotePeer: string
  readonly side: StreamSide
  /** Called with what a listener's `onEnd` throws, because there is no stream left to end then. */
  readonly report: (error: Error) => void
  /** Counts messages and bytes. */
  readonly traffic?: RpcTraffic | undefined
  /** Given on the side that serves: what arrives is counted by them. */
  readonly budgets?: IntakeBudgets | undefined
}

/**
 * Messages in both directions over one libp2p stream; this side sends `Out` and receives `In`. To libp2p a killed peer
 * looks like an orderly close, so each side ends with an `end` message, and a stream that closes without one counts as
 * lost. A FrameStream must be created in the same turn in which libp2p provides the stream: later its first events
 * would be missed.
 */
export class FrameStream<Out extends AnyMessage = AnyMessage, In extends AnyMessage = AnyMessage> {
  readonly remotePeer: string
  /** Resolves once both directions are closed, for whatever reason; never rejects. */
  readonly closed: Promise<void>
  readonly #stream: ByteStream
  readonly #outgoing: MessageCodec
  readonly #limits: RpcLimits
  readonly #inbox: FrameInbox<In>
  readonly #outbox: FrameOutbox
  readonly #intake: FrameIntake
  readonly #reader: FrameReader<In>
  readonly #resolveClosed: () => void
  readonly #report: (error: Error) => void
  readonly #traffic: RpcTraffic
  #abortError: Error | undefined
  /** Whether the peer sends no more, while something of what it sent has not been looked at. */
  #endsWhenRead = false
  #ending: Promise<void> | undefined

  /** To be called in the turn in which libp2p provides the stream. */
  constructor(stream: ByteStream, { remotePeer, side, report, traffic = newTraffic(), budgets }: FrameStreamOptions) {
    const { outgoing, incoming, limits } = side
    this.remotePeer = remotePeer
    this.#report = report
    this.#traffic = traffic
    this.#stream = stream
    this.#outgoing = outgoing
    this.#limits = limits
    const { promise, resolve } = Promise.withResolvers<void>()
    this.closed = promise
    this.#resolveClosed = resolve
    const drain = (): void => this.#reader.drain()
    const maxBacklogBytes = BACKLOG_FRAMES * (limits.payloadBytes + limits.headerBytes)
    this.#outbox = new FrameOutbox(stream, { maxBacklogBytes, abort: (error) => this.abort(error), onFlushed: drain })
    this.#intake = new FrameIntake(remotePeer, budgets, { goOn: drain, refuse: (error) => this.#refuse(error) })
    this.#inbox = new FrameInbox<In>(drain, () => this.#reader.isMidFrame || this.#reader.hasUnread)
    this.#reader = new FrameReader<In>(
      { stream, inbox: this.#inbox, intake: this.#intake, traffic },
      { remotePeer, incoming, limits },
      {
        // The side that asks goes on reading: if both waited until the other one reads, neither would.
        isBacklogged: () => this.#intake.isCounting && this.#outbox.numWaiting > MAX_WAITING_ANSWERS,
        onRefused: (error) => this.#refuse(error),
        onFault: (error) => this.abort(asError(error)),
        onDrained: () => {
          if (this.#endsWhenRead) this.#finishReading()
        },
        onResumed: () => this.#finishIfOver(),
      },
    )
    stream.addEventListener('message', (event) => this.#reader.take(event.data))
    stream.addEventListener('end', () => this.#finishReading())
    stream.addEventListener('close', (event) => this.#finish(event))
    // libp2p delivers what it had buffered in a microtask that was queued by the lines above.
    queueMicrotask(() => this.#finishIfOver())
  }

  /** Bytes that the peer has sent on this stream, those of unfinished messages included. */
  get bytesRead(): number {
    return this.#reader.bytesRead
  }

  /** Bytes that were handed over and the peer's window has taken. */
  get bytesTaken(): number {
    return this.#outbox.bytesHanded - this.#stream.writeBufferLength
  }

  /**
   * Sends one message. Settles when the stream has taken it and would take more; until then the message's tensors must
   * not change. Throws `SWARM_TOO_LARGE`, `SWARM_FRAME` (a message that a receiver would refuse), `SWARM_STREAM_LOST`,
   * `SWARM_TIMEOUT` (the peer accepts no bytes; the stream is aborted), `SWARM_BACKLOG`, or the signal's reason (the
   * stream is aborted if the message was partly written).
   */
  async send(message: Out, options?: SendOptions): Promise<void> {
    await this.#send(message, options)
  }

  /**
   * The next message, or null after the peer's `end`. Throws `SWARM_STREAM_LOST` if the stream ended without `end`,
   * `SWARM_TIMEOUT` and `RemoteError` (an error that the peer reported), after both of which the stream stays open, and
   * `SWARM_FRAME` if something invalid arrived (the peer is told, and the stream ends).
   */
  receive(options?: ReceiveOptions): Promise<In | null> {
    return this.#inbox.receive(options)
  }

  /**
   * Passes every message to the listener from now on, in the turn in which its last byte arrives. Excludes `receive`.
   */
  listen(listener: MessageListener<In>): void {
    try {
      this.#inbox.listen(listener)
    } catch (error) {
      this.abort(asError(error))
    }
  }

  /** What arrives from now on counts as `peerId`'s, on whose behalf the peer sends it. */
  countFor(peerId: string): void {
    this.#intake.payer = peerId
  }

  /** What was received until now counts as its peer's no more; otherwise it does until the stream is over. */
  releaseReceived(): void {
    this.#intake.release()
  }

  /** Tells the peer that nothing more will be sent. Settles when libp2p has taken that; never rejects. */
  end(): Promise<void> {
    this.#ending ??= this.#sayEnd()
    return this.#ending
  }

  /**
   * Reports an error to the peer in an `error` message, and ends this side. Of an unexpected error the peer learns no
   * details.
   */
  async fail(error: unknown): Promise<void> {
    if (this.#ending !== undefined) return this.#ending
    const code = errorCode(error)
    const message = code === 'INTERNAL' ? 'internal error' : errorMessage(error).slice(0, 1000)
    await this.#send({ kind: 'error', code, message }).catch(() => undefined)
    await this.end()
  }

  /** Closes both directions at once. Whoever waits on this side gets `error`; the peer gets `SWARM_STREAM_LOST`. */
  abort(error: Error): void {
    this.#abortError ??= error
    this.#stream.abort(error)
    this.#finishIfOver()
  }

  async #send(message: Out | CommonMessage, options?: SendOptions): Promise<void> {
    if (this.#ending !== undefined) throw new SwarmError('SWARM_STATE', 'the stream was already ended on this side')
    const bytes = encodeFrame(message, this.#outgoing, this.#limits)
    this.#traffic.framesSent += 1
    this.#traffic.bytesSent += bytes.byteLength
    await this.#outbox.write(bytes, options)
  }

  async #sayEnd(): Promise<void> {
    try {
      await this.#outbox.write(encodeFrame({ kind: 'end' }, this.#outgoing, this.#limits))
      await this.#stream.close({ signal: AbortSignal.timeout(WRITE_STALL_MS) })
    } catch {
      this.#stream.abort(new SwarmError('SWARM_STREAM_LOST', 'the stream could not be ended in order'))
    }
  }

  /** Something arrived that is no message of this stream: tells the reader, then the peer, and aborts the stream. */
  #refuse(error: SwarmError): void {
    this.#reader.refuse()
    this.#abortError ??= error
    this.#intake.close()
    this.#finishInbox(error)
    const told = Promise.race([this.fail(error), sleep(REFUSAL_MS, undefined, { ref: false })])
    void told.then(() => this.abort(error))
  }

  #finishReading(): void {
    if (this.#inbox.ended) return
    if (this.#reader.hasUnread && this.#abortError === undefined) {
      this.#endsWhenRead = true
      return
    }
    this.#reader.discard()
    const where = this.#reader.isMidFrame ? 'in the middle of a frame' : 'without its last frame'
    const error =
      this.#abortError ?? new SwarmError('SWARM_STREAM_LOST', `the stream with peer ${this.remotePeer} ended ${where}`)
    this.#finishInbox(error)
    this.#outbox.fail(error)
    this.#stream.abort(error)
  }

  #finishInbox(error: Error): void {
    try {
      this.#inbox.finish(error)
    } catch (fault) {
      this.#report(asError(fault))
    }
  }

  #finish(event?: StreamCloseEvent): void {
    if (event?.error !== undefined) this.#abortError ??= lostBy(this.remotePeer, event.error)
    this.#intake.close()
    // Of requests of a peer that is gone nothing is begun any more; answers that have come are read.
    if (this.#intake.isCounting) this.#reader.discard()
    else this.#reader.drain()
    // A paused stream still has bytes to deliver; its `end` event follows them.
    if (this.#stream.readBufferLength === 0) this.#finishReading()
    this.#outbox.fail(
      this.#abortError ?? new SwarmError('SWARM_STREAM_LOST', `the stream with peer ${this.remotePeer} is closed`),
    )
    this.#resolveClosed()
  }

  /** Handles the end of a stream whose events may have fired before the listeners were added. */
  #finishIfOver(): void {
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
