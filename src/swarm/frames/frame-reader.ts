import type { StreamMessageEvent } from '@libp2p/interface'
import { SwarmError } from '../errors.ts'
import type { RpcLimits } from '../limits.ts'
import type { MessageCodec } from './codec.ts'
import { FrameDecoder } from './frame.ts'
import type { FrameInbox, Hold } from './frame-inbox.ts'
import type { FrameIntake } from './frame-intake.ts'
import type { ByteStream } from './loopback.ts'
import type { AnyMessage, CommonMessage } from './messages.ts'
import { RemoteError } from './remote-error.ts'
import type { RpcTraffic } from './traffic.ts'

/** What a queued message counts besides its bytes, so that even empty messages cannot queue without bound. */
const FRAME_OVERHEAD_BYTES = 256

/** Messages that may be worked on at once; `status` and the like are answered at once and do not count. */
const MAX_IN_WORK = 64

/** Messages taken from one stream before others get their turn of the event loop. */
const MESSAGES_A_TURN = 64

/** What a reader works with. */
export interface FrameReaderModules<In extends AnyMessage> {
  readonly stream: Pick<ByteStream, 'readStatus' | 'pause' | 'resume'>
  /** Where messages go. */
  readonly inbox: FrameInbox<In>
  /** Says when a payload may be collected. */
  readonly intake: FrameIntake
  readonly traffic: RpcTraffic
}

/** What a reader reads, and how much. */
export interface FrameReaderOptions {
  readonly remotePeer: string
  readonly incoming: MessageCodec
  readonly limits: RpcLimits
}

/** What a reader asks and tells its stream. */
export interface FrameReaderEvents {
  /** Whether the peer takes so few answers that nothing more is to be read from it. */
  readonly isBacklogged: () => boolean
  /** What arrived is no message. Nothing more is read. */
  readonly onRefused: (error: SwarmError) => void
  /** A listener has thrown. */
  readonly onFault: (error: unknown) => void
  /** All that had arrived was looked at. */
  readonly onDrained: () => void
  /** libp2p delivers again. */
  readonly onResumed: () => void
}

/**
 * The reading half of a stream, in front of its inbox: turns bytes that libp2p has delivered into messages, as far as
 * they may be looked at now. What may not wait here has libp2p stop, and so in the end the peer.
 */
export class FrameReader<In extends AnyMessage> {
  readonly #modules: FrameReaderModules<In>
  readonly #options: FrameReaderOptions
  readonly #events: FrameReaderEvents
  readonly #decoder: FrameDecoder
  /** Bytes that libp2p has delivered and nobody has looked at yet. */
  readonly #unread: Uint8Array[] = []
  #unreadOffset = 0
  #isDraining = false
  /** Whether nothing more is read, since what came was no message. */
  #isRefused = false
  #inWork = 0
  #bytesRead = 0

  constructor(modules: FrameReaderModules<In>, options: FrameReaderOptions, events: FrameReaderEvents) {
    const { intake } = modules
    const { incoming, limits } = options
    this.#modules = modules
    this.#options = options
    this.#events = events
    this.#decoder = new FrameDecoder(
      incoming,
      limits,
      (message, bytes) => this.#deliver(message as In | CommonMessage, bytes),
      (bytes, unpacked) => intake.admit(bytes, unpacked, () => this.#decoder.goOn()),
    )
  }

  /** Bytes that have arrived, those of unfinished messages included. */
  get bytesRead(): number {
    return this.#bytesRead
  }

  /** Whether something has arrived that nobody has looked at yet. */
  get hasUnread(): boolean {
    return this.#unread.length > 0
  }

  /** Whether a part of a frame was taken, and its rest is still to come. */
  get isMidFrame(): boolean {
    return this.#decoder.midFrame
  }

  /** Takes bytes that have arrived. */
  take(data: StreamMessageEvent['data']): void {
    if (this.#isRefused) return
    this.#bytesRead += data.byteLength
    if (data instanceof Uint8Array) this.#unread.push(data)
    else this.#unread.push(...data)
    this.drain()
  }

  /** Looks at what has arrived, as far as it may be read now; what is left stops the reading of more. */
  drain(): void {
    if (this.#isDraining || this.#isRefused) return
    const { intake } = this.#modules
    this.#isDraining = true
    try {
      for (let frames = 0; this.#unread.length > 0 && !this.#isBlocked; frames++) {
        if (frames === MESSAGES_A_TURN) {
          intake.yield()
          break
        }
        this.#takeFrame(this.#unread[0]!)
      }
    } catch (error) {
      if (error instanceof SwarmError && error.code === 'SWARM_FRAME') this.#events.onRefused(error)
      else this.#events.onFault(error)
    } finally {
      this.#isDraining = false
    }
    if (this.#isRefused) return
    if (this.#unread.length > 0 || this.#isBlocked) this.#pause()
    else this.#resume()
    intake.watch(this.#decoder.midFrame, this.#decoder.payloadBytes)
    if (this.#unread.length === 0) this.#events.onDrained()
  }

  /** Forgets what has arrived and was not looked at. */
  discard(): void {
    this.#unread.length = 0
  }

  /** Reads nothing any more. */
  refuse(): void {
    this.#isRefused = true
    this.discard()
  }

  #takeFrame(chunk: Uint8Array): void {
    const offset = this.#decoder.take(chunk, this.#unreadOffset)
    const isDone = offset === chunk.byteLength
    this.#unreadOffset = isDone ? 0 : offset
    if (isDone) this.#unread.shift()
  }

  /** Whether nothing more is to be taken in for now. */
  get #isBlocked(): boolean {
    const { stream, inbox, intake } = this.#modules
    const { queueBytes } = this.#options.limits
    return (
      this.#isRefused ||
      intake.isWaiting ||
      this.#inWork > MAX_IN_WORK ||
      inbox.queuedBytes > (stream.readStatus === 'paused' ? queueBytes / 2 : queueBytes) ||
      this.#events.isBacklogged()
    )
  }

  #deliver(message: In | CommonMessage, frameBytes: number): void {
    const { inbox, intake, traffic } = this.#modules
    if (inbox.ended) throw new SwarmError('SWARM_FRAME', 'a frame came after the last one')
    traffic.framesReceived += 1
    traffic.bytesReceived += frameBytes
    const bytes = frameBytes + FRAME_OVERHEAD_BYTES
    const paid = intake.arrived()
    if (isCommon(message)) {
      if (message.kind === 'end') return inbox.finish(null)
      inbox.deliver({ error: new RemoteError(this.#options.remotePeer, message), bytes })
    } else {
      inbox.deliver({ message, bytes, hold: this.#holdOf(paid) })
    }
  }

  /** What counts a message while a listener works on it. */
  #holdOf(paid: Hold): Hold {
    let isHeld = false
    const begin = (): void => {
      isHeld = true
      this.#inWork += 1
      paid.begin()
    }
    const end = (): void => {
      paid.end()
      if (!isHeld) return
      this.#inWork -= 1
      this.drain()
    }
    return { begin, end }
  }

  #pause(): void {
    const { stream } = this.#modules
    if (stream.readStatus === 'readable') stream.pause()
  }

  #resume(): void {
    const { stream } = this.#modules
    if (stream.readStatus !== 'paused') return
    try {
      stream.resume()
    } catch {
      // Closed meanwhile; libp2p throws when it wants to tell the peer.
    }
    this.#events.onResumed()
  }
}

function isCommon(message: AnyMessage): message is CommonMessage {
  return message.kind === 'end' || message.kind === 'error'
}
