// Room remote/: HTTP to a model hub: listings, files and byte ranges, with retries.

import { isJsonObject, parseJsonObject } from '../../files/json.ts'
import { type Asked, errorOfAnswer } from './answers.ts'
import { HubError } from '../errors.ts'
import { type HttpAnswer, type HttpOptions, request } from './http.ts'
import { Retry, retrying } from './retry.ts'
import type { HubSettings } from '../settings.ts'
import { isCommit } from '../source.ts'

/** One version of a file on a hub. Plain data. */
export interface RemoteFile {
  readonly repo: string
  readonly commit: string
  /** Path within the repository. */
  readonly name: string
  /** The hub's checksum, without quotes: the sha256 of a large file's content, the git blob id of a small file's. */
  readonly etag: string
  readonly bytes: number
}

/** Told in words that the hub does not answer, or not as it should, while there is still hope. */
export type HubTroubleListener = (trouble: string) => void

/** A revision of a model as the hub describes it. */
export interface RevisionInfo {
  readonly commit: string
  readonly files: readonly string[]
}

/** The longest listing that is read; one of 10,000 files takes about a megabyte. */
const MAX_INFO_BYTES = 32e6

/** How long a file's signed address is used again. On the public hub such addresses are valid for an hour. */
const LOCATION_TTL_MS = 10 * 60_000

const EXPIRED = new Set([401, 403, 404, 410])

/**
 * A client of a model hub. Every method retries after failures that may pass, and throws `HubError` or the signal's
 * reason.
 */
export class HubClient {
  readonly settings: HubSettings
  /** The address that the hub redirects to for each file, so that not every range of a file asks for it again. */
  readonly #locations = new Map<string, { readonly url: string; readonly at: number }>()

  readonly #tellTrouble: HubTroubleListener
  #told = ''

  constructor(settings: HubSettings, onTrouble: HubTroubleListener = () => undefined) {
    this.settings = settings
    this.#tellTrouble = onTrouble
  }

  /** Asks which commit a branch or tag is at now, and which files that commit has. */
  async revision(repo: string, revision: string, signal?: AbortSignal): Promise<RevisionInfo> {
    const url = `${this.settings.endpoint}/api/models/${repo}/revision/${encodeURIComponent(revision)}`
    return retrying(this.#retry(), signal, async () => {
      this.#checkOnline(`${repo}@${revision}`)
      const answer = await this.#request(url, { signal })
      await this.#expect(answer, { repo, revision }, 200)
      return parseInfo(await this.#text(answer), url)
    })
  }

  /** Asks for a file's size and etag, without its content. */
  async describe(repo: string, commit: string, name: string, signal?: AbortSignal): Promise<RemoteFile> {
    const asked = { repo, revision: commit, file: name }
    return retrying(this.#retry(), signal, async () => {
      this.#checkOnline(`${name} of ${repo}`)
      const answer = await this.#request(this.#url(asked), { method: 'HEAD', signal })
      const { response, hubHeaders, location } = answer
      if (location === undefined) await this.#expect(answer, asked, 200)
      await answer.discard()
      this.#remember(asked, location)
      const etag = header(hubHeaders, 'x-linked-etag') ?? header(hubHeaders, 'etag')
      const size =
        header(hubHeaders, 'x-linked-size') ?? (location === undefined ? response.headers.get('content-length') : null)
      const served = header(hubHeaders, 'x-repo-commit')
      if (
        etag === undefined ||
        size == null ||
        !/^\d{1,15}$/.test(size) ||
        (served !== undefined && served !== commit)
      ) {
        // The storage host refused, not the hub: that says nothing about the file or the token, which this host does
        // not know.
        throw new HubError(
          'HUB_ANSWER',
          `${this.settings.endpoint} does not say size, version and commit of ${name}: check HF_ENDPOINT`,
        )
      }
      return { repo, commit, name, etag: plainEtag(etag), bytes: Number(size) }
    })
  }

  /**
   * Yields bytes `start` to `end` of a file, in order. If the connection breaks it is opened again at the byte where it
   * broke, as often as each attempt brings progress. Throws `HUB_RANGES` or `HUB_CONTENT` if an answer is of another
   * range or another version.
   */
  async *stream(file: RemoteFile, start: number, end: number, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
    const retry = this.#retry()
    let position = start
    while (position < end) {
      try {
        const answer = await this.#open(file, position, end, signal)
        for await (const chunk of answer.body()) {
          if (position + chunk.length > end) throw changed(file, 'more bytes came than were asked for')
          position += chunk.length
          retry.progressed()
          yield chunk
        }
        if (position < end)
          throw new HubError('HUB_CONNECTION', `the connection for ${file.name} ended ${end - position} bytes early`)
      } catch (error) {
        await retry.next(error, signal)
      }
    }
  }

  async #open(file: RemoteFile, start: number, end: number, signal: AbortSignal | undefined): Promise<HttpAnswer> {
    const asked = { repo: file.repo, revision: file.commit, file: file.name }
    this.#checkOnline(`${file.name} of ${file.repo}`)
    const url = this.#url(asked)
    const known = this.#locations.get(url)
    const direct = known !== undefined && performance.now() - known.at < LOCATION_TTL_MS
    const answer = await this.#request(direct ? known.url : url, { range: [start, end], signal })
    if (direct && EXPIRED.has(answer.response.status)) {
      await answer.discard()
      this.#locations.delete(url)
      return this.#open(file, start, end, signal)
    }
    if (answer.location !== undefined && EXPIRED.has(answer.response.status)) {
      await answer.discard()
      // Not the hub's own word about the file or the token: that host knows neither.
      throw new HubError(
        'HUB_UNAVAILABLE',
        `${new URL(answer.location).host}, to where ${this.settings.endpoint} refers for ` +
          `${file.name}, refuses it (${answer.response.status}): try again later`,
      )
    }
    if (!direct) this.#remember(asked, answer.location)
    await this.#checkRange(answer, file, start, end)
    return answer
  }

  async #checkRange(answer: HttpAnswer, file: RemoteFile, start: number, end: number): Promise<void> {
    const { response, hubHeaders } = answer
    const whole = start === 0 && end === file.bytes
    if (response.status === 416) {
      await answer.discard()
      throw changed(file, 'it has become shorter')
    }
    if (response.status === 200 && !whole) {
      await answer.discard()
      throw new HubError(
        'HUB_RANGES',
        `${new URL(response.url).host} ignores byte ranges, so parts of ${file.name} cannot be had: choose ` +
          'another HF_ENDPOINT',
      )
    }
    await this.#expect(answer, { repo: file.repo, revision: file.commit, file: file.name }, 200, 206)
    const etag = header(hubHeaders, 'x-linked-etag') ?? header(hubHeaders, 'etag')
    const range = /^bytes (\d+)-(\d+)\/(\d+)$/
      .exec(response.headers.get('content-range') ?? '')
      ?.slice(1)
      .map(Number)
    const [from, to, bytes] = range ?? (response.status === 200 ? [0, end - 1, file.bytes] : [])
    const problem =
      etag !== undefined && plainEtag(etag) !== file.etag
        ? `its etag is ${shown(plainEtag(etag))} instead of ${file.etag}`
        : from !== start || to === undefined || to >= end || bytes !== file.bytes
          ? `asked for bytes ${start}-${end - 1}/${file.bytes}, got ` +
            shown(response.headers.get('content-range') ?? 'none')
          : undefined
    if (problem === undefined) return
    await answer.discard()
    throw changed(file, problem)
  }

  async #expect(answer: HttpAnswer, asked: Asked, ...statuses: number[]): Promise<void> {
    if (statuses.includes(answer.response.status)) return
    await answer.discard()
    throw errorOfAnswer(answer.response, asked, this.settings)
  }

  async #text(answer: HttpAnswer): Promise<string> {
    const parts: Uint8Array[] = []
    let bytes = 0
    for await (const chunk of answer.body()) {
      bytes += chunk.length
      if (bytes > MAX_INFO_BYTES) {
        throw new HubError(
          'HUB_ANSWER',
          `${this.settings.endpoint} describes a model in more than ${MAX_INFO_BYTES} bytes`,
        )
      }
      parts.push(chunk)
    }
    return Buffer.concat(parts).toString('utf8')
  }

  #url({ repo, revision, file = '' }: Asked): string {
    return `${this.settings.endpoint}/${repo}/resolve/${revision}/${file.split('/').map(encodeURIComponent).join('/')}`
  }

  #remember(asked: Asked, location: string | undefined): void {
    if (location !== undefined) this.#locations.set(this.#url(asked), { url: location, at: performance.now() })
  }

  #request(url: string, options: HttpOptions): Promise<HttpAnswer> {
    const onSlow = (host: string): void => this.#trouble(`${host} has not answered yet: waiting for it`)
    return request(this.settings, url, { ...options, onSlow })
  }

  #retry(): Retry {
    return new Retry(this.settings.retryDelayMs, ({ message }) => this.#trouble(`${message}; trying again`))
  }

  /** Many requests at a time have the same trouble: it is told once. */
  #trouble(text: string): void {
    if (text === this.#told) return
    this.#told = text
    this.#tellTrouble(text)
  }

  #checkOnline(what: string): void {
    if (!this.settings.offline) return
    throw new HubError(
      'HUB_OFFLINE',
      `${what} is not in the cache, and the hub may not be asked: unset HF_HUB_OFFLINE, or fetch it once while online`,
    )
  }
}

/** The first of the hops' headers with this name. */
function header(hops: readonly Headers[], name: string): string | undefined {
  return hops.map((headers) => headers.get(name)).find((value) => value !== null) ?? undefined
}

function plainEtag(etag: string): string {
  return etag.replace(/^W\//, '').replaceAll('"', '')
}

function changed(file: RemoteFile, problem: string): HubError {
  return new HubError(
    'HUB_CONTENT',
    `${file.name} of ${file.repo} is not what it was when its version was pinned (${problem}): start again, ` +
      'or choose another HF_ENDPOINT',
  )
}

function parseInfo(text: string, url: string): RevisionInfo {
  try {
    const { sha, siblings } = parseJsonObject(text, url)
    if (typeof sha === 'string' && isCommit(sha) && Array.isArray(siblings)) {
      const names = siblings.map((entry: unknown) => (isJsonObject(entry) ? entry['rfilename'] : undefined))
      return { commit: sha, files: names.filter((name) => typeof name === 'string') }
    }
  } catch {
    // The same message says it.
  }
  throw new HubError('HUB_ANSWER', `${url} does not answer as a model hub does: check HF_ENDPOINT`)
}

function shown(text: string): string {
  return JSON.stringify(text.slice(0, 80))
}
