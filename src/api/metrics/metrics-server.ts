import { once } from 'node:events'
import { type IncomingMessage, type ServerResponse, createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Registry } from 'prom-client'
import { errorMessage } from '../../base/errors.ts'
import { listen } from '../http/listen.ts'

/** What /health and /ready answer. */
export interface Health {
  readonly state: string
  readonly sessions: number
  /** False if the process should be restarted. A server that is loading, draining or reloading is alive. */
  readonly alive: boolean
  /** Spans of the model that no ONLINE server holds, this one included, as START:END. */
  readonly missing?: readonly string[]
}

export interface MetricsServerModules {
  readonly registry: Registry
  readonly health: () => Health
}

export interface MetricsServer {
  readonly port: number
  stop(): Promise<void>
}

/**
 * Serves /metrics; /health, with status 503 if the process should be restarted; and /ready, with 503 unless the server
 * is ONLINE and every block of its model is held by somebody. Port 0 means any free port. Throws `METRICS_LISTEN`.
 */
export async function startMetricsServer(
  modules: MetricsServerModules,
  { host, port }: { readonly host: string; readonly port: number },
): Promise<MetricsServer> {
  const server = createServer((request, response) => {
    answer(modules, request, response).catch((error: unknown) =>
      send(response, 500, 'text/plain', `${errorMessage(error)}\n`),
    )
  })
  await listen(server, { host, port }, 'METRICS_LISTEN', 'cannot serve metrics')
  return {
    port: (server.address() as AddressInfo).port,
    async stop() {
      if (!server.listening) return
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}

async function answer(
  { registry, health }: MetricsServerModules,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const path = request.url?.split('?', 1)[0]
  if (request.method !== 'GET' && request.method !== 'HEAD')
    return send(response, 405, 'text/plain', 'only GET is answered here\n')
  if (path === '/metrics') return send(response, 200, registry.contentType, await registry.metrics())
  if (path === '/health' || path === '/ready') {
    const { missing = [], ...status } = health()
    const isReady = status.alive && status.state === 'ONLINE' && missing.length === 0
    if (path === '/health') return sendJson(response, status.alive, status)
    return sendJson(response, isReady, { ...status, ...(missing.length > 0 && { missing }) })
  }
  send(response, 404, 'text/plain', 'there are /metrics, /health and /ready here\n')
}

function sendJson(response: ServerResponse, good: boolean, body: object): void {
  send(response, good ? 200 : 503, 'application/json', `${JSON.stringify(body)}\n`)
}

function send(response: ServerResponse, statusCode: number, contentType: string, body: string): void {
  response.writeHead(statusCode, { 'content-type': contentType })
  response.end(body)
}
