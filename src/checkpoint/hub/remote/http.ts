import { errorMessage } from '../../../base/errors.ts'
import { VERSION } from '../../../base/version.ts'
import { HubError } from '../errors.ts'
import type { HubSettings } from '../settings.ts'

/** A connection without a byte for this long counts as broken. */
const STALL_MS = 30_000

/** So long without an answer is worth a word to the user. */
const SLOW_MS = 1500

const MAX_REDIRECTS = 8
const REDIRECTS = new Set([301, 302, 303, 307, 308])

export interface HttpOptions {
  readonly method?: 'GET' | 'HEAD'
  /** Bytes `start` to `end`, `end` not included. */
  readonly range?: readonly [number, number] | undefined
  readonly signal?: AbortSignal | undefined
  /** Called when the host has let some time pass without an answer. */
  readonly onSlow?: ((host: string) => void) | undefined
}

/** An answer, with what was learnt on the redirects to it. */
export interface HttpAnswer {
  readonly response: Response
  /** The headers of every answer of the hub's own host; those of later redirects first. */
  readonly hubHeaders: readonly Headers[]
  /** The address that the hub redirected to, if it is on another host. */
  readonly location: string | undefined
  /** The body, chunk by chunk. Throws `HUB_CONNECTION` if it breaks off or stalls. */
  body(): AsyncGenerator<Uint8Array>
  /** Closes the connection without reading the body. */
  discard(): Promise<void>
}

/**
 * Sends a request and follows redirects itself: the token is sent to the hub's own origin only, and what the hub says
 * about a file is in the headers of its redirects. A HEAD request stops before another host. Throws `HUB_CONNECTION`,
 * `HUB_ANSWER` or the signal's reason.
 */
export async function request(settings: HubSettings, address: string, options: HttpOptions = {}): Promise<HttpAnswer> {
  const hubOrigin = new URL(settings.endpoint).origin
  const hubHeaders: Headers[] = []
  let location: string | undefined
  let url = new URL(address)
  for (let hops = 0; hops <= MAX_REDIRECTS; hops++) {
    const onHub = url.origin === hubOrigin
    const watch = new Stall(url.host, options)
    const response = await send(url, onHub ? settings.token : undefined, options, watch)
    if (onHub) hubHeaders.unshift(response.headers)
    const redirects = REDIRECTS.has(response.status)
    const next = redirects ? redirectTarget(response, url) : undefined
    if (redirects && next === undefined) {
      await discard(response, watch)
      throw notFollowed(response, url)
    }
    const leaves = next !== undefined && next.origin !== hubOrigin
    if (leaves) location = next.href
    if (next === undefined || (leaves && options.method === 'HEAD')) {
      return {
        response,
        hubHeaders,
        location,
        body: () => chunks(response, watch),
        discard: () => discard(response, watch),
      }
    }
    await discard(response, watch)
    url = next
  }
  throw new HubError('HUB_ANSWER', `${settings.endpoint} redirects without end: check HF_ENDPOINT`)
}

async function send(
  url: URL,
  token: string | undefined,
  { method = 'GET', range }: HttpOptions,
  watch: Stall,
): Promise<Response> {
  const headers = new Headers({ 'user-agent': `petals-node/${VERSION}`, 'accept-encoding': 'identity' })
  if (token !== undefined) headers.set('authorization', `Bearer ${token}`)
  if (range !== undefined) headers.set('range', `bytes=${range[0]}-${range[1] - 1}`)
  try {
    const response = await fetch(url, { method, headers, redirect: 'manual', signal: watch.signal })
    watch.alive()
    return response
  } catch (error) {
    throw watch.failed(error)
  }
}

function redirectTarget(response: Response, from: URL): URL | undefined {
  const target = response.headers.get('location') ?? ''
  const url = URL.canParse(target, from.href) ? new URL(target, from) : undefined
  return url?.protocol === 'https:' || (url?.protocol === 'http:' && from.protocol === 'http:') ? url : undefined
}

function notFollowed(response: Response, from: URL): HubError {
  const target = response.headers.get('location') ?? ''
  return new HubError(
    'HUB_ANSWER',
    `${from.host} redirects to ${JSON.stringify(target.slice(0, 80))}, which is not followed`,
  )
}

async function* chunks(response: Response, watch: Stall): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of response.body ?? []) {
      watch.alive()
      yield chunk as Uint8Array
    }
  } catch (error) {
    throw watch.failed(error)
  } finally {
    watch.stop()
  }
}

async function discard(response: Response, watch: Stall): Promise<void> {
  await response.body?.cancel().catch(() => undefined)
  watch.stop()
}

/** Aborts a request when no byte has arrived for `STALL_MS`, and gives the error for it. */
class Stall {
  readonly signal: AbortSignal
  readonly #host: string
  readonly #caller: AbortSignal | undefined
  readonly #controller = new AbortController()
  readonly #abort = () => this.#controller.abort()
  #timer: NodeJS.Timeout
  readonly #slow: NodeJS.Timeout

  constructor(host: string, { signal: caller, onSlow }: HttpOptions) {
    this.#host = host
    this.#caller = caller
    this.#slow = setTimeout(() => onSlow?.(host), SLOW_MS)
    this.signal = this.#controller.signal
    this.#timer = setTimeout(this.#abort, STALL_MS)
    if (caller?.aborted) this.#abort()
    else caller?.addEventListener('abort', this.#abort)
  }

  alive(): void {
    clearTimeout(this.#slow)
    this.#timer.refresh()
  }

  stop(): void {
    clearTimeout(this.#timer)
    clearTimeout(this.#slow)
    this.#caller?.removeEventListener('abort', this.#abort)
  }

  failed(error: unknown): unknown {
    this.stop()
    if (this.#caller?.aborted) return this.#caller.reason
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
    const reason = this.signal.aborted ? `no data for ${STALL_MS / 1000} s` : reasonOf(cause)
    return new HubError(
      'HUB_CONNECTION',
      `the connection to ${this.#host} failed (${reason}): check the network, a proxy, or HF_ENDPOINT; what ` +
        'has come so far is kept',
      { cause: error },
    )
  }
}

function reasonOf(cause: unknown): string {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : ''
  return [code, errorMessage(cause)].filter((text) => text !== '').join(', ')
}
