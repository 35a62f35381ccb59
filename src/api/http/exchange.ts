import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Caller } from '../access/caller.ts'
import { readJson } from './body.ts'
import { EventStream } from './event-stream.ts'

/** What the server knows of a request. */
interface ExchangeFacts {
  readonly requestId: string
  readonly url: URL
  readonly caller: Caller
  /** How long the client may leave what was sent to it unread. */
  readonly stallMs: number
}

/** One request and the answer to it, as handlers see them. */
export class Exchange {
  readonly requestId: string
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  /** Whom the answer is for. */
  readonly caller: Caller
  readonly request: IncomingMessage
  readonly response: ServerResponse
  /** The id of the model that answers, once it is known. */
  model: string | undefined
  /** Why an answer that had begun ended with an error. */
  failure: unknown
  readonly #stallMs: number
  readonly #gone = new AbortController()

  constructor(
    { request, response }: { readonly request: IncomingMessage; readonly response: ServerResponse },
    { requestId, url, caller, stallMs }: ExchangeFacts,
  ) {
    this.request = request
    this.response = response
    this.requestId = requestId
    this.method = request.method ?? 'GET'
    this.path = url.pathname
    this.query = url.searchParams
    this.caller = caller
    this.#stallMs = stallMs
    response.once('close', () => {
      if (!response.writableFinished) this.#gone.abort(new ClientGoneError())
    })
  }

  /** Aborted when the client is gone before its answer was complete. */
  get signal(): AbortSignal {
    return this.#gone.signal
  }

  /** A header's value, if it was given once. */
  header(name: string): string | undefined {
    const value = this.request.headers[name]
    return typeof value === 'string' ? value : undefined
  }

  /** The body, parsed. Throws an `ApiError` for one that is too large or no JSON. */
  json(): Promise<unknown> {
    return readJson(this.request)
  }

  sendJson(status: number, body: unknown, headers: Readonly<Record<string, string>> = {}): void {
    const text = JSON.stringify(body)
    this.send(status, 'application/json', text, headers)
  }

  send(status: number, contentType: string, body: string | Uint8Array, headers: Readonly<Record<string, string>> = {}) {
    this.response.writeHead(status, {
      ...headers,
      'content-type': contentType,
      'content-length': Buffer.byteLength(body),
    })
    this.response.setTimeout(this.#stallMs, () => this.response.destroy())
    this.response.end(this.method === 'HEAD' ? undefined : body)
  }

  /** Notes why an answer that has begun ends with an error, of which the client is told in the answer itself. */
  fail(error: unknown): void {
    this.failure = error
  }

  /** Begins an answer of server-sent events; its headers go out with the first of them. */
  events(): EventStream {
    return new EventStream(this.response, this.#gone, this.#stallMs)
  }
}

/** Why an answer is given up: the client has closed its connection, so it becomes no answer itself. */
export class ClientGoneError extends Error {
  constructor() {
    super('the client is gone')
    this.name = 'ClientGoneError'
  }
}
