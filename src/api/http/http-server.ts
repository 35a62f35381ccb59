import { randomUUID } from 'node:crypto'
import { type IncomingMessage, type ServerResponse, createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { PetalsError, errorCode, errorMessage } from '../../base/errors.ts'
import { sharedTurns } from '../../base/shared-turns.ts'
import type { SwarmLogger } from '../../swarm/logger.ts'
import type { AccessControl } from '../access/access-control.ts'
import { apiErrorOf, errorBody } from '../errors/error-of.ts'
import { answerBroken } from './broken-requests.ts'
import { ClientGoneError, Exchange } from './exchange.ts'
import { listen } from './listen.ts'
import { type OriginRules, checkHost, corsHeaders, preflightHeaders } from './origin-check.ts'
import type { Answered, RequestTracing } from './request-span.ts'
import type { Route, Router } from './router.ts'

export interface HttpServerModules {
  readonly router: Router
  readonly access: AccessControl
  readonly logger: SwarmLogger
  /** Told of each request that has been answered. */
  readonly onAnswered?: (answered: Answered) => void
  /** Takes a span of each request. */
  readonly tracing?: RequestTracing | undefined
}

export interface HttpServerOptions extends OriginRules {
  readonly host: string
  readonly port: number
  /** How long a client may take to send a request, 60 s unless told. */
  readonly requestTimeoutMs?: number
  /** How long a client may leave what was sent to it unread, 60 s unless told. */
  readonly stallMs?: number
}

export interface HttpServer {
  readonly port: number
  /** Requests that are being answered. */
  readonly numOpen: number
  /** Takes no more requests; resolves when those under way are answered, or the time is over. */
  drain(timeoutMs: number): Promise<void>
  /** Takes no more requests; those under way are cut off. */
  stop(): Promise<void>
}

/** What one client may take before it has said anything useful. */
const LIMITS = { headersTimeout: 10_000, keepAliveTimeout: 75_000 }
const REQUEST_TIMEOUT_MS = 60_000
const STALL_MS = 60_000
const MAX_CONNECTIONS = 1024
const MAX_CHECK_MS = 5000

/** How often idle connections are looked for while the server drains. */
const IDLE_MS = 50

/** The time for what a client still sends after its request was refused. */
const LINGER_MS = 5000

/** Serves routes over HTTP. Port 0 means any free port. Throws `API_LISTEN`. */
export async function startHttpServer(modules: HttpServerModules, options: HttpServerOptions): Promise<HttpServer> {
  const { logger } = modules
  let numOpen = 0
  const { requestTimeoutMs: requestTimeout = REQUEST_TIMEOUT_MS } = options
  const limits = {
    keepAliveTimeout: LIMITS.keepAliveTimeout,
    requestTimeout,
    headersTimeout: Math.min(LIMITS.headersTimeout, requestTimeout),
    // The check of hosts says so itself, in the form of all errors.
    requireHostHeader: false,
    connectionsCheckingInterval: Math.min(MAX_CHECK_MS, requestTimeout / 2),
  }
  const server = createServer(limits, (request, response) => {
    numOpen += 1
    if (!server.listening) response.shouldKeepAlive = false
    void serve(modules, options, request, response).finally(() => {
      numOpen -= 1
    })
  })
  server.maxConnections = MAX_CONNECTIONS
  answerBroken(server)
  await listen(server, options, 'API_LISTEN', 'cannot serve the API')
  const { promise: closed, resolve } = Promise.withResolvers<void>()
  server.once('close', resolve)
  server.on('error', (error) => logger.warn({ reason: errorMessage(error) }, 'the HTTP server failed'))
  return {
    port: (server.address() as AddressInfo).port,
    get numOpen() {
      return numOpen
    },
    async drain(timeoutMs) {
      server.close()
      // A connection that is kept alive is idle only when its answer has ended.
      const timer = setInterval(() => server.closeIdleConnections(), IDLE_MS)
      const isOver = new AbortController()
      await Promise.race([closed, sleep(timeoutMs, undefined, { signal: isOver.signal }).catch(() => undefined)])
      clearInterval(timer)
      isOver.abort()
    },
    async stop() {
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}

async function serve(
  { router, access, logger, onAnswered, tracing }: HttpServerModules,
  options: HttpServerOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const began = performance.now()
  const requestId = requestIdOf(request)
  const { method = 'GET' } = request
  let found: Route | undefined
  let exchange: Exchange | undefined
  let failure: unknown
  const span = tracing?.beginRequest(request.headers)
  response.setHeader('x-request-id', requestId)
  // Where Anthropic's clients look for it.
  response.setHeader('request-id', requestId)
  // A connection that breaks is noticed by the exchange.
  response.on('error', () => undefined)
  try {
    checkHost(request.headers.host, options)
    for (const [name, value] of Object.entries(corsHeaders(request.headers.origin, options)))
      response.setHeader(name, value)
    if (method === 'OPTIONS') {
      const isAllowed = response.hasHeader('access-control-allow-origin')
      const asked = request.headers['access-control-request-headers']
      response.writeHead(204, isAllowed ? preflightHeaders(asked) : {}).end()
      return
    }
    const url = new URL(`http://localhost${pathOf(request.url)}`)
    const { route, rest } = router.find(method, url.pathname)
    found = route
    // Many requests come at once, and each takes a millisecond or two before it waits for something.
    await sharedTurns.next()
    const caller = route.isOpen === true ? access.anonymous : access.identify(request.headers)
    const { stallMs = STALL_MS } = options
    const own = (exchange = new Exchange({ request, response }, { requestId, url, caller, stallMs }))
    const handle = (): Promise<void> | void => route.handle(own, rest)
    await (span === undefined ? handle() : span.run(handle))
    failure = own.failure
    if (failure !== undefined) log(logger, failure, { requestId, route: route.path })
  } catch (error) {
    failure = error
    refuse(request, response, { error, body: (found?.errorBody ?? errorBody)(error, requestId) })
    if (!(error instanceof ClientGoneError) && !response.destroyed)
      log(logger, error, { requestId, route: found?.path })
  } finally {
    const answered = {
      route: found?.path ?? 'none',
      method,
      status: response.headersSent ? response.statusCode : 499,
      seconds: (performance.now() - began) / 1000,
      model: exchange?.model,
      hasBrokenOff: exchange?.failure !== undefined && isOwnFault(exchange.failure),
    }
    onAnswered?.(answered)
    span?.end(answered, failure)
  }
}

/** Answers with an error, if nothing was answered yet; what is left of the request is not read. */
function refuse(
  request: IncomingMessage,
  response: ServerResponse,
  { error, body: told }: { readonly error: unknown; readonly body: object },
): void {
  if (response.headersSent || response.destroyed) {
    response.end()
    return
  }
  const { status, retryAfterSeconds, allow } = apiErrorOf(error).details
  const body = JSON.stringify(told)
  const isReadToTheEnd = request.complete || !hasBody(request)
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
    ...(retryAfterSeconds !== undefined && { 'retry-after': String(Math.ceil(retryAfterSeconds)) }),
    ...(allow !== undefined && { allow }),
  })
  response.end(body)
  if (isReadToTheEnd) return
  // Many clients read nothing before they have sent all: a connection that ends earlier is all that they would see. One
  // that sends on for long is cut off, one that comes to its end may be used again.
  request.resume()
  const timer = setTimeout(() => request.destroy(), LINGER_MS).unref()
  request.once('end', () => clearTimeout(timer))
}

/** The path and query of a request's target; proxies are sent an address with a scheme and a host before it. */
function pathOf(target = '/'): string {
  const path = target.replace(/^https?:\/\/[^/?]*/i, '')
  return path.startsWith('/') ? path : `/${path}`
}

function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
}

function isOwnFault(error: unknown): boolean {
  return apiErrorOf(error).details.status >= 500
}

/** Faults of this server are logged, without anything of what was asked. */
function log(logger: SwarmLogger, error: unknown, fields: object): void {
  if (!isOwnFault(error)) return
  const isOwn = error instanceof PetalsError
  logger.warn(
    { ...fields, code: errorCode(error), ...(!isOwn && { where: placesOf(error) }) },
    `a request failed: ${isOwn ? error.message : apiErrorOf(error).message}`,
  )
}

/** Where an error comes from, without its message, which may quote what was asked. */
function placesOf(error: unknown): string[] {
  const lines = error instanceof Error ? (error.stack ?? '').split('\n') : []
  return lines.filter((line) => /^\s+at /.test(line)).map((line) => line.trim())
}

/** The id that the client gave, if it can be one; else a new one. */
function requestIdOf({ headers }: IncomingMessage): string {
  const given = headers['x-request-id']
  return typeof given === 'string' && /^[\w.:-]{1,128}$/.test(given) ? given : randomUUID()
}
