import { PetalsError } from '../../base/errors.ts'
import type { ServedStream } from '../../swarm/frames/frame-stream.ts'

/** How long a peer that opens a push stream may be ahead of the client's word that it is the one before. */
const NAMED_WITHIN_MS = 5000

/**
 * The peer that may push into a session: the one that the client has named, and no other, even if it knows the
 * session's id. A repair names another one; streams of the former are aborted then. It has one stream at a time, which
 * lives no longer than the session, and what comes on it counts for the session's client.
 */
export class PushSource {
  readonly #client: string
  #peerId: string | undefined
  readonly #waiting = new Set<() => void>()
  readonly #streams = new Set<ServedStream<'push'>>()
  #formerBytes = 0
  #closed = false

  constructor(client: string) {
    this.#client = client
  }

  /** Bytes that have come on push streams, those of unfinished messages included. */
  get bytesRead(): number {
    return [...this.#streams].reduce((sum, { bytesRead }) => sum + bytesRead, this.#formerBytes)
  }

  /** Names the peer; undefined: nobody may push. */
  name(peerId: string | undefined): void {
    this.#peerId = peerId
    for (const stream of this.#streams) {
      if (stream.remotePeer !== peerId) stream.abort(refusal(stream.remotePeer))
    }
    for (const look of this.#waiting) look()
  }

  /**
   * Admits a push stream, once its peer is named; it must be handed to `remove` when it has ended. Throws
   * `SESSION_SOURCE` if the client names another peer, or none, for `NAMED_WITHIN_MS`.
   */
  async admit(stream: ServedStream<'push'>): Promise<void> {
    if (!this.#isNamed(stream)) await this.#named(stream)
    stream.countFor(this.#client)
    for (const former of this.#streams) {
      former.abort(new PetalsError('SESSION_CLOSED', 'another stream pushes into this session now'))
    }
    this.#streams.add(stream)
  }

  /** Takes an admitted stream that has ended; what came on it still counts. */
  remove(stream: ServedStream<'push'>): void {
    if (this.#streams.delete(stream)) this.#formerBytes += stream.bytesRead
  }

  /** Nobody may push from now on. */
  close(): void {
    this.#closed = true
    this.name(undefined)
  }

  #isNamed({ remotePeer }: ServedStream<'push'>): boolean {
    return !this.#closed && remotePeer === this.#peerId
  }

  async #named(stream: ServedStream<'push'>): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const look = () => {
      if (this.#closed) reject(refusal(stream.remotePeer))
      else if (this.#isNamed(stream)) resolve()
    }
    const timer = setTimeout(() => reject(refusal(stream.remotePeer)), NAMED_WITHIN_MS)
    this.#waiting.add(look)
    look()
    try {
      await promise
    } finally {
      clearTimeout(timer)
      this.#waiting.delete(look)
    }
  }
}

function refusal(peerId: string): PetalsError {
  return new PetalsError('SESSION_SOURCE', `peer ${peerId} is not the one that may push into this session`)
}
