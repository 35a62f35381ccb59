import { sharedTurns } from '../../../base/shared-turns.ts'
import { SwarmError } from '../../../swarm/errors.ts'
import type { RequestStream } from '../../../swarm/frames/frame-stream.ts'
import type { Answer } from '../../../swarm/frames/messages.ts'

/** What a server says about a session. */
export type Progress = Answer<'control'>

/** Opens the stream on which a server is asked what a session is doing. */
export type OpenControl = (signal: AbortSignal) => Promise<RequestStream<'control'>>

/**
 * Asks a server what a session is doing, on a stream of its own: neither question nor answer waits behind hidden
 * states. The stream is opened when something is late for the first time.
 */
export class ControlStream {
  readonly #sessionId: string
  readonly #open: OpenControl
  #stream: RequestStream<'control'> | undefined
  #nextRequest = 1
  #asking: Promise<Progress> | undefined

  constructor(sessionId: string, open: OpenControl) {
    this.#sessionId = sessionId
    this.#open = open
  }

  /**
   * The server's answer; one question serves all who ask meanwhile. Throws `SWARM_TIMEOUT`, or what the stream throws.
   */
  status(timeoutMs: number): Promise<Progress> {
    this.#asking ??= this.#ask(timeoutMs).finally(() => {
      this.#asking = undefined
    })
    return this.#asking
  }

  close(error: Error): void {
    this.#stream?.abort(error)
    this.#stream = undefined
  }

  async #ask(timeoutMs: number): Promise<Progress> {
    // Where a server is late, all its sessions ask at once.
    await sharedTurns.next()
    const request = this.#nextRequest++
    const controller = new AbortController()
    const { signal } = controller
    const stopTimer = afterOwnTime(timeoutMs, () =>
      controller.abort(new SwarmError('SWARM_TIMEOUT', `no word of what a session does within ${timeoutMs} ms`)),
    )
    try {
      const stream = (this.#stream ??= await this.#open(signal))
      await stream.send({ kind: 'status', request, sessionId: this.#sessionId }, { signal })
      for (;;) {
        const answer = await stream.receive({ signal })
        if (answer === null || answer.request === request) return answer ?? failEnded(stream.remotePeer)
      }
    } catch (error) {
      this.close(error as Error)
      throw error
    } finally {
      stopTimer()
    }
  }
}

/** Into how many parts a wait is cut: one that takes twice its time shows that this process was held up. */
const PARTS = 8

/** The most parts that a wait may take, if most of them are not counted. */
const MAX_PARTS = 3 * PARTS

/**
 * Calls `onLate` after `ms` milliseconds in which this process ran: what it did not hear while it was paused or busy
 * speaks against nobody. Returns what stops it.
 */
function afterOwnTime(ms: number, onLate: () => void): () => void {
  const partMs = ms / PARTS
  let [counted, parts, began] = [0, 0, performance.now()]
  const timer = setInterval(() => {
    const now = performance.now()
    if (now - began < 2 * partMs) counted++
    began = now
    if (counted < PARTS && ++parts < MAX_PARTS) return
    clearInterval(timer)
    onLate()
  }, partMs)
  return () => clearInterval(timer)
}

function failEnded(peerId: string): never {
  throw new SwarmError('SWARM_STREAM_LOST', `peer ${peerId} ended the stream that tells what a session does`)
}
