import { once } from 'node:events'
import { type IncomingMessage, type ServerResponse, createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { PageFiles } from '../../src/api/pages/page-files.ts'
import { answerWith } from '../../src/api/pages/page-answer.ts'
import type { SwarmSnapshot } from '../../src/api/swarm-view/snapshot.ts'

/** What a stand-in is asked in a chat. */
export interface ChatRequest {
  readonly model: string
  readonly messages: readonly { readonly role: string; readonly content: string }[]
  readonly [option: string]: unknown
}

/** Writes an answer, event by event. */
export interface ChatAnswer {
  /** Aborted when the page has closed the connection. */
  readonly signal: AbortSignal
  fail(status: number, error: object): void
  text(text: string, options?: { readonly pieceMs?: number }): Promise<void>
  chunk(data: object): void
  /** Tells of the chain of servers. */
  petals(state: { chain: object[]; recoveries: object[]; waiting?: object }): void
  /** The last chunks, and the end. */
  end(): void
}

/**
 * Serves the pages, and in place of a swarm whatever a test says: for states that a real swarm shows only now and then.
 */
export class StandIn {
  /** The requests for chats so far. */
  readonly chats: ChatRequest[] = []
  models: readonly { readonly id: string; readonly parent?: string }[] = [{ id: 'demo' }]
  snapshot: SwarmSnapshot | undefined
  /** If set, requests must carry it. */
  key: string | undefined
  answer: (request: ChatRequest, answer: ChatAnswer) => Promise<void> = async (_, answer) => {
    await answer.text('An answer.')
    answer.end()
  }
  readonly #server = createServer((request, response) => void this.#serve(request, response))
  readonly #files = new PageFiles()
  readonly #watchers = new Set<ServerResponse>()

  async start(): Promise<void> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** Tells the pages of a new state of the swarm. */
  tell(snapshot: SwarmSnapshot): void {
    this.snapshot = snapshot
    for (const watcher of this.#watchers) watcher.write(`data: ${JSON.stringify(snapshot)}\n\n`)
  }

  /** Cuts off the pages that watch the swarm. */
  dropWatchers(): void {
    for (const watcher of this.#watchers) watcher.destroy()
  }

  async stop(): Promise<void> {
    const closed = once(this.#server, 'close')
    this.#server.close()
    this.#server.closeAllConnections()
    await closed
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url!.split('?', 1)[0]!
    const file = await this.#files.get(path)
    if (file !== undefined) {
      const { 'if-none-match': ifNoneMatch, 'accept-encoding': encoding } = request.headers
      const { status, headers, body } = answerWith(file, { ifNoneMatch, acceptEncoding: String(encoding) })
      response.writeHead(status, headers).end(body)
      return
    }
    if (this.key !== undefined && request.headers.authorization !== `Bearer ${this.key}`)
      return sendJson(response, 401, { error: { message: 'this key is not known here', code: 'invalid_api_key' } })
    if (path === '/v1/models') return sendJson(response, 200, { object: 'list', data: this.models })
    if (path === '/swarm/events') return this.#watch(response)
    if (path === '/v1/chat/completions') return this.#chat(request, response)
    sendJson(response, 404, { error: { message: `there is nothing at ${path}`, code: 'unknown_url' } })
  }

  #watch(response: ServerResponse): void {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.flushHeaders()
    this.#watchers.add(response)
    response.on('close', () => this.#watchers.delete(response))
    if (this.snapshot !== undefined) response.write(`data: ${JSON.stringify(this.snapshot)}\n\n`)
  }

  async #chat(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let body = ''
    for await (const part of request.setEncoding('utf8') as AsyncIterable<string>) body += part
    const chat = JSON.parse(body) as ChatRequest
    this.chats.push(chat)
    const gone = new AbortController()
    response.on('close', () => gone.abort())
    await this.answer(chat, new StreamedAnswer(response, gone.signal)).catch((error: unknown) => {
      if (!gone.signal.aborted) throw error
    })
  }
}

class StreamedAnswer implements ChatAnswer {
  readonly signal: AbortSignal
  readonly #response: ServerResponse
  #numPieces = 0

  constructor(response: ServerResponse, signal: AbortSignal) {
    this.#response = response
    this.signal = signal
  }

  fail(status: number, error: object): void {
    sendJson(this.#response, status, { error })
  }

  async text(text: string, { pieceMs = 0 }: { readonly pieceMs?: number } = {}): Promise<void> {
    for (const piece of text.match(/\S+\s*|\s+/g) ?? []) {
      this.#numPieces += 1
      this.chunk({ choices: [{ index: 0, delta: { content: piece }, finish_reason: null }] })
      if (pieceMs > 0) await sleep(pieceMs, undefined, { signal: this.signal })
    }
  }

  petals(state: object): void {
    this.chunk({ choices: [], petals: state })
  }

  chunk(data: object): void {
    if (!this.#response.headersSent) this.#response.writeHead(200, { 'content-type': 'text/event-stream' })
    this.#response.write(`data: ${JSON.stringify(data)}\n\n`)
  }

  end(): void {
    this.chunk({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] })
    this.chunk({
      choices: [],
      usage: { prompt_tokens: 12, completion_tokens: this.#numPieces, total_tokens: 12 + this.#numPieces },
      timings: { prompt_ms: 180, predicted_per_second: 24.2 },
    })
    this.#response.end('data: [DONE]\n\n')
  }
}

function sendJson(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}
