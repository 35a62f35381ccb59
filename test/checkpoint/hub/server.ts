import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { TestContext } from 'node:test'

export const REPO = 'tiny/llama'
export const COMMIT = 'c0ffee'.padEnd(40, '0')
export const TOKEN = 'a-secret'

/** What the hub does other than well. May be changed while it runs. */
export interface Behaviour {
  /** Whether files are given with the token alone, and what is said without it. */
  gated?: boolean
  privateRepo?: boolean
  /** This many requests are refused with 429 first. */
  tooMany?: number
  retryAfter?: string
  /** Requests are taken and never answered. */
  silent?: boolean
  /** This many requests fail with 503 first. */
  unavailable?: number
  /** Each connection is cut after so many bytes of body. */
  cutAfterBytes?: number
  ignoresRange?: boolean
  /** A `content-range` other than asked for. */
  wrongRange?: boolean
  /** Signed addresses of the other host that are no longer good: this many. */
  expired?: number
  bytesPerMs?: number
  /** Weights are given by the hub itself, without a redirect. */
  direct?: boolean
  /** Bytes are damaged on the way. */
  damages?: boolean
  etag?: string
  sha?: string
  locationPrefix?: string
  /** Announced instead of the weights' true size. */
  announcedBytes?: number
}

export interface Logged {
  readonly method: string
  readonly path: string
  readonly range: string | undefined
  readonly authorization: string | undefined
  readonly host: 'hub' | 'cdn'
}

/** A model hub and the host that it keeps large files on, with one model. Counts the bytes of bodies by file. */
export class StandInHub {
  readonly files: ReadonlyMap<string, Buffer>
  readonly behaviour: Behaviour
  readonly log: Logged[] = []
  readonly sentBytes = new Map<string, number>()
  readonly #hub: Server
  readonly #cdn: Server

  static async start(
    context: TestContext,
    files: ReadonlyMap<string, Buffer>,
    behaviour: Behaviour = {},
  ): Promise<StandInHub> {
    const hub = new StandInHub(files, behaviour)
    for (const server of [hub.#hub, hub.#cdn]) {
      server.listen(0, '127.0.0.1')
      await once(server, 'listening')
      context.after(() => {
        server.close()
        server.closeAllConnections()
      })
    }
    return hub
  }

  private constructor(files: ReadonlyMap<string, Buffer>, behaviour: Behaviour) {
    this.files = files
    this.behaviour = behaviour
    this.#hub = createServer((request, response) => {
      void this.#answerHub(request, response)
    })
    this.#cdn = createServer((request, response) => {
      void this.#answerCdn(request, response)
    })
  }

  get endpoint(): string {
    return addressOf(this.#hub)
  }

  /** Bytes of bodies sent of files whose name matches. */
  sent(pattern: RegExp): number {
    return [...this.sentBytes].filter(([name]) => pattern.test(name)).reduce((sum, [, bytes]) => sum + bytes, 0)
  }

  /** The lengths of ranges asked for, of files whose name matches, added up. */
  asked(pattern: RegExp): number {
    const ranges = this.log.filter(({ method, path, host }) => method === 'GET' && host === 'cdn' && pattern.test(path))
    return ranges.reduce((sum, { range }) => {
      const [, start, end] = /^bytes=(\d+)-(\d+)$/.exec(range ?? '') ?? []
      return sum + Number(end) - Number(start) + 1
    }, 0)
  }

  forget(): void {
    this.log.length = 0
    this.sentBytes.clear()
  }

  async #answerHub(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = this.#note(request, 'hub')
    const { behaviour } = this
    if (behaviour.silent) return
    if ((behaviour.tooMany ?? 0) > 0) {
      behaviour.tooMany!--
      return refuse(response, 429, undefined, { 'retry-after': behaviour.retryAfter ?? '0' })
    }
    if ((behaviour.unavailable ?? 0) > 0) {
      behaviour.unavailable!--
      return refuse(response, 503)
    }
    const known = request.headers.authorization === `Bearer ${TOKEN}`
    if (request.headers.authorization !== undefined && !known)
      return refuse(response, 401, undefined, { 'x-error-message': 'Invalid credentials' })
    if (behaviour.privateRepo === true && !known) return refuse(response, 401, 'RepoNotFound')
    const [, repo, revision] = /^\/api\/models\/([^/]+\/[^/]+)\/revision\/(.+)$/.exec(path) ?? []
    if (repo !== undefined) return this.#describe(response, repo, decodeURIComponent(revision!))
    const [, name] = new RegExp(`^/${REPO}/resolve/${COMMIT}/(.+)$`).exec(path) ?? []
    const content = this.files.get(name ?? '')
    if (name === undefined || content === undefined) return refuse(response, 404, 'EntryNotFound')
    if (behaviour.gated === true && !known) return refuse(response, 401, 'GatedRepo')
    return this.#resolve(request, response, name, content)
  }

  #describe(response: ServerResponse, repo: string, revision: string): void {
    if (repo !== REPO) return refuse(response, 401, 'RepoNotFound')
    if (!['main', 'v1', COMMIT].includes(revision)) return refuse(response, 404, 'RevisionNotFound')
    const siblings = [...this.files.keys()].map((rfilename) => ({ rfilename }))
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ id: repo, sha: this.behaviour.sha ?? COMMIT, siblings }))
  }

  async #resolve(request: IncomingMessage, response: ServerResponse, name: string, content: Buffer): Promise<void> {
    response.setHeader('x-repo-commit', COMMIT)
    if (!name.endsWith('.safetensors')) {
      response.setHeader('etag', `"${gitId(content)}"`)
      return this.#send(request, response, name, content)
    }
    const etag = this.behaviour.etag ?? createHash('sha256').update(content).digest('hex')
    response.setHeader('x-linked-etag', `"${etag}"`)
    response.setHeader('x-linked-size', String(this.behaviour.announcedBytes ?? content.length))
    if (this.behaviour.direct === true) return this.#send(request, response, name, content)
    response.writeHead(302, {
      location: `${this.behaviour.locationPrefix ?? addressOf(this.#cdn)}/${name}?signed=1`,
      'content-length': 0,
    })
    response.end()
  }

  async #answerCdn(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = this.#note(request, 'cdn')
    if ((this.behaviour.expired ?? 0) > 0) {
      this.behaviour.expired!--
      return refuse(response, 403)
    }
    const name = path.slice(1).replace(/\?.*/, '')
    response.setHeader('etag', '"another-one"')
    return this.#send(request, response, name, this.files.get(name)!)
  }

  async #send(request: IncomingMessage, response: ServerResponse, name: string, content: Buffer): Promise<void> {
    const { behaviour } = this
    const total = (name.endsWith('.safetensors') ? behaviour.announcedBytes : undefined) ?? content.length
    const [, from, to] =
      behaviour.ignoresRange === true ? [] : (/^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [])
    const start = Number(from ?? 0)
    const end = Math.min(Number(to ?? total - 1) + 1, total)
    if (from !== undefined) {
      if (start >= total) return refuse(response, 416)
      response.statusCode = 206
      const shift = behaviour.wrongRange === true ? 1 : 0
      response.setHeader('content-range', `bytes ${start + shift}-${end - 1 + shift}/${total}`)
    }
    response.setHeader('content-length', end - start)
    if (request.method === 'HEAD') return void response.end()
    await this.#body(response, name, content.subarray(start, end))
  }

  async #body(response: ServerResponse, name: string, bytes: Buffer): Promise<void> {
    const { cutAfterBytes = Infinity, bytesPerMs = Infinity, damages = false } = this.behaviour
    const piece = bytesPerMs === Infinity ? 1 << 20 : bytesPerMs * 10
    for (let sent = 0; sent < bytes.length && !response.destroyed;) {
      if (sent >= cutAfterBytes) return void response.socket?.destroy()
      const chunk = Buffer.from(bytes.subarray(sent, Math.min(sent + piece, cutAfterBytes)))
      if (damages && name.endsWith('.safetensors')) chunk[chunk.length - 1]! ^= 1
      sent += chunk.length
      this.sentBytes.set(name, (this.sentBytes.get(name) ?? 0) + chunk.length)
      response.write(chunk)
      if (bytesPerMs !== Infinity) await sleep(10)
      while (!response.destroyed && response.writableNeedDrain) await sleep(1)
    }
    response.end()
  }

  #note({ method = '', url = '', headers }: IncomingMessage, host: Logged['host']): string {
    this.log.push({ method, path: url, range: headers.range, authorization: headers.authorization, host })
    return url
  }
}

export function gitId(content: Buffer): string {
  return createHash('sha1').update(`blob ${content.length}\0`).update(content).digest('hex')
}

function addressOf(server: Server): string {
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

function refuse(response: ServerResponse, status: number, code?: string, headers: Record<string, string> = {}): void {
  response.writeHead(status, { ...headers, ...(code !== undefined && { 'x-error-code': code }), 'content-length': 0 })
  response.end()
}
