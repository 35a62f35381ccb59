import { apiKey, wantKey } from './api-key.ts'

/** An answer of the server that is no success. */
export class ApiFailure extends Error {
  readonly status: number
  readonly code: string
  /** The blocks that nobody serves, where that is the reason. */
  readonly missingBlocks: readonly number[]
  readonly retryAfterSeconds: number | undefined

  constructor(message: string, fields: Partial<Omit<ApiFailure, keyof Error>> = {}) {
    super(message)
    this.status = fields.status ?? 0
    this.code = fields.code ?? 'unknown'
    this.missingBlocks = fields.missingBlocks ?? []
    this.retryAfterSeconds = fields.retryAfterSeconds
  }
}

/** An error in the form in which the server tells it, in an answer or in the middle of a stream. */
export function failureOf(body: unknown, status = 0, retryAfter: string | null = null): ApiFailure {
  const { error } = (body ?? {}) as { error?: { message?: string; code?: string; missing_blocks?: number[] } }
  return new ApiFailure(error?.message ?? `the server answered with status ${status}`, {
    status,
    code: error?.code ?? 'unknown',
    missingBlocks: error?.missing_blocks ?? [],
    retryAfterSeconds: retryAfter === null ? undefined : Number(retryAfter),
  })
}

/** How a request is sent. */
export interface RequestOptions {
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
  readonly signal?: AbortSignal
}

/**
 * Asks this server; a `body` is posted as JSON. Where the server wants a key, the user is asked for it first. Throws
 * `ApiFailure` for anything but a success, and the signal's reason.
 */
export async function ask(path: string, options: RequestOptions = {}): Promise<Response> {
  const { signal } = options
  for (;;) {
    const response = await send(path, options)
    if (response.ok) return response
    const body: unknown = await response.json().catch(() => undefined)
    const failure = failureOf(body, response.status, response.headers.get('retry-after'))
    if (response.status !== 401) throw failure
    const isGiven = await orAborted(wantKey(apiKey.value === undefined ? '' : failure.message), signal)
    if (!isGiven) throw failure
  }
}

async function send(path: string, { body, headers, signal }: RequestOptions): Promise<Response> {
  const key = apiKey.value
  try {
    return await fetch(path, {
      method: body === undefined ? 'GET' : 'POST',
      headers: {
        ...headers,
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...(key !== undefined && { authorization: `Bearer ${key}` }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      ...(signal !== undefined && { signal }),
      cache: 'no-store',
      credentials: 'omit',
    })
  } catch {
    signal?.throwIfAborted()
    throw new ApiFailure('The server cannot be reached. Is it running?', { code: 'unreachable' })
  }
}

async function orAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise
  signal.throwIfAborted()
  const aborted = Promise.withResolvers<never>()
  const onAbort = (): void => aborted.reject(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    return await Promise.race([promise, aborted.promise])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
