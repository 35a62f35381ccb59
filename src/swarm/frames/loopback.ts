import {
  type MessageStreamEvents,
  type Stream,
  StreamCloseEvent,
  StreamMessageEvent,
  StreamResetError,
  TypedEventEmitter,
} from '@libp2p/interface'
import { SwarmError } from '../errors.ts'

/** The part of a libp2p stream that frames use. */
export type ByteStream = Pick<
  Stream,
  | 'addEventListener'
  | 'send'
  | 'close'
  | 'abort'
  | 'pause'
  | 'resume'
  | 'status'
  | 'readStatus'
  | 'readableEnded'
  | 'readBufferLength'
  | 'writeBufferLength'
  | 'writableNeedsDrain'
>

type Chunk = Parameters<Stream['send']>[0]

/**
 * Two connected ends of a stream within this process, for a client that uses its own server: libp2p cannot dial its own
 * node.
 */
export function loopback(): [ByteStream, ByteStream] {
  const near = new LoopbackEnd()
  const far = new LoopbackEnd()
  near.join(far)
  far.join(near)
  return [near, far]
}

/**
 * One end. Chunks are delivered in a later turn of the event loop, as on a network, so that a decode loop over one's
 * own span lets timers and signals run. Chunks are not copied: a chunk counts as unsent until the other end has read
 * it.
 */
class LoopbackEnd extends TypedEventEmitter<MessageStreamEvents> implements ByteStream {
  #other!: LoopbackEnd
  #incoming: Chunk[] = []
  #incomingBytes = 0
  #status: Stream['status'] = 'open'
  #paused = false
  #scheduled = false
  /** `#finished`: this end will send no more. `#readAll`: this end has read everything that the other end sent. */
  #finished = false
  #readAll = false

  /** Whether the other end was aborted. Then what it had sent is read even while paused, so that its end is noticed. */
  get #otherIsGone(): boolean {
    return this.#other.#status === 'aborted'
  }

  join(other: LoopbackEnd): void {
    this.#other = other
  }

  get status(): Stream['status'] {
    return this.#status
  }

  get readStatus(): Stream['readStatus'] {
    if (this.#status !== 'open' || this.#readAll) return 'closed'
    return this.#paused ? 'paused' : 'readable'
  }

  get readableEnded(): boolean {
    return this.#readAll
  }

  get readBufferLength(): number {
    return this.#incomingBytes
  }

  get writeBufferLength(): number {
    return this.#other.#incomingBytes
  }

  get writableNeedsDrain(): boolean {
    return this.#other.#incomingBytes > 0
  }

  send(chunk: Chunk): boolean {
    if (this.#status !== 'open' || this.#finished || this.#other.#status !== 'open')
      throw new SwarmError('SWARM_STREAM_LOST', 'the stream is closed for writing')
    this.#other.#incoming.push(chunk)
    this.#other.#incomingBytes += chunk.byteLength
    this.#other.#schedule()
    return false
  }

  async close(): Promise<void> {
    this.#finished = true
    this.#other.#schedule()
  }

  abort(error: Error): void {
    if (this.#status !== 'open') return
    this.#drop()
    this.#end('aborted', true, error)
    this.#other.#schedule()
  }

  pause(): void {
    this.#paused = true
  }

  resume(): void {
    this.#paused = false
    this.#schedule()
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      if (this.#status === 'open') this.#read()
    })
  }

  #read(): void {
    while (this.#incoming.length > 0 && (!this.#paused || this.#otherIsGone)) {
      const chunk = this.#incoming.shift()!
      this.dispatchEvent(new StreamMessageEvent(chunk))
      this.#incomingBytes = Math.max(0, this.#incomingBytes - chunk.byteLength)
    }
    if (this.#incoming.length > 0 || this.#status !== 'open') return
    if (this.#otherIsGone) return this.#end('reset', false, new StreamResetError('the other side aborted the stream'))
    this.#other.safeDispatchEvent('drain')
    if (!this.#other.#finished) return
    if (!this.#readAll) {
      this.#readAll = true
      this.safeDispatchEvent('remoteCloseWrite')
      this.safeDispatchEvent('end')
    }
    if (!this.#finished || !this.#other.#readAll) return
    this.#end('closed', false)
    this.#other.#end('closed', false)
  }

  #drop(): void {
    this.#incoming = []
    this.#incomingBytes = 0
  }

  #end(status: Stream['status'], local: boolean, error?: Error): void {
    if (this.#status !== 'open') return
    this.#status = status
    if (!this.#readAll) {
      this.#readAll = true
      this.safeDispatchEvent('end')
    }
    this.dispatchEvent(new StreamCloseEvent(local, error))
  }
}
