import type { ServerResponse } from 'node:http'

/** How long nothing may be sent before a comment is: proxies end connections on which nothing moves. */
const PING_MS = 10_000

/**
 * An answer of server-sent events. What a client does not read is not piled up: `send` waits until it has read on, and
 * for a client that reads nothing for long the connection is closed.
 */
export class EventStream {
  readonly #response: ServerResponse
  readonly #gone: AbortController
  readonly #stallMs: number
  readonly #timer: NodeJS.Timeout
  #isOpen = false

  /**
   * `gone` is aborted when the connection is closed, and aborted here when the client is given up, which has left what
   * was sent to it unread for `stallMs`.
   */
  constructor(response: ServerResponse, gone: AbortController, stallMs: number) {
    this.#response = response
    this.#stallMs = stallMs
    this.#gone = gone
    this.#timer = setInterval(() => this.#ping(), PING_MS)
  }

  /** Whether headers are out: an error can only be told as an event then. */
  get isOpen(): boolean {
    return this.#isOpen
  }

  /** Sends one event; `name` is its kind, where the protocol has kinds. Rejects if the client is gone. */
  async send(data: string, name?: string): Promise<void> {
    this.#gone.signal.throwIfAborted()
    this.#open()
    this.#timer.refresh()
    const text = name === undefined ? `data: ${data}\n\n` : `event: ${name}\ndata: ${data}\n\n`
    if (!this.#response.write(text)) await this.#drained()
  }

  /** Ends the answer. */
  end(): void {
    clearInterval(this.#timer)
    if (this.#isOpen) this.#response.end()
  }

  #open(): void {
    if (this.#isOpen) return
    this.#isOpen = true
    this.#response.writeHead(200, {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache',
      // Asks nginx not to gather events.
      'x-accel-buffering': 'no',
    })
  }

  #ping(): void {
    if (this.#gone.signal.aborted) return
    this.#open()
    if (!this.#response.writableNeedDrain) this.#response.write(': ping\n\n')
  }

  async #drained(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const { signal } = this.#gone
    const onAbort = (): void => reject(signal.reason as Error)
    const timer = setTimeout(() => {
      this.#gone.abort(new Error('the client does not read its answer'))
      this.#response.destroy()
    }, this.#stallMs)
    this.#response.once('drain', resolve)
    signal.addEventListener('abort', onAbort, { once: true })
    if (signal.aborted) onAbort()
    try {
      await promise
    } finally {
      clearTimeout(timer)
      this.#response.off('drain', resolve)
      signal.removeEventListener('abort', onAbort)
    }
  }
}
