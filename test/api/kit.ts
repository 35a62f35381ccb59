import { pino } from 'pino'
import { type ApiServer, type ApiServerOptions, startApiServer } from '../../src/api/api-server.ts'
import { createMetrics } from '../../src/api/metrics/metrics.ts'
import { ServedModel } from '../../src/api/models/served-model.ts'
import type { Adapter } from '../../src/checkpoint/adapter/adapter.ts'
import type { Span } from '../../src/base/span.ts'
import { AutoDistributedModelForCausalLM } from '../../src/client/model/model.ts'
import { DEMO, type TestServer, startServers } from '../client/kit.ts'

/** All blocks of the demo model: the API knows nothing of how many servers hold them. */
const WHOLE = [[0, 8]] as const

/** What a server may hold of adapters, where it has any. */
const ADAPTER_BYTES = 4 * 1024 * 1024

/** An API, and the servers of this process that were started with it. */
export interface TestApi {
  readonly url: string
  readonly server: ApiServer
  readonly model: AutoDistributedModelForCausalLM
  readonly bootstrap: readonly string[]
  readonly servers: readonly TestServer[]
  stop(): Promise<void>
}

/** The options of an API that lets everybody in. */
export const OPEN: ApiServerOptions = {
  host: '127.0.0.1',
  port: 0,
  keys: [],
  allowedHosts: [],
  corsOrigins: [],
  slots: 64,
  maxWaiting: 256,
}

/** Over one server of this process, or those that `spans` says; `bootstrap` is a peer of others. */
export async function startTestApi(
  options: Partial<ApiServerOptions> = {},
  model: {
    readonly folder?: string
    readonly template?: string
    readonly promptCacheTokens?: number
    readonly bootstrap?: readonly string[]
    readonly spans?: readonly Span[]
    readonly publicName?: string
    readonly adapters?: readonly Adapter[]
  } = {},
): Promise<TestApi> {
  const { folder = DEMO, template = 'model', promptCacheTokens = 65_536, publicName } = model
  const { spans = WHOLE, bootstrap: known = [], adapters = [] } = model
  const adapterBytes = adapters.length === 0 ? 0 : ADAPTER_BYTES
  const serving = { bootstrap: [...known], publicName, adapters, adapterBytes }
  const swarm = await startServers(folder, spans, serving)
  const { bootstrap, servers } = swarm
  const opened = await AutoDistributedModelForCausalLM.fromPretrained(folder, { bootstrap, threads: 1 })
  const logger = pino({ level: 'silent' })
  const server = await startApiServer({ registry: createMetrics(), logger }, { ...OPEN, ...options })
  const served = await ServedModel.open(opened, folder, { template, promptCacheTokens })
  server.catalog.add(served)
  server.catalog.complete()
  return {
    url: `http://127.0.0.1:${server.port}`,
    server,
    model: opened,
    bootstrap,
    servers,
    async stop() {
      await server.stop()
      await served.close()
      await opened.close()
      await swarm.stop()
    },
  }
}

/** Sends JSON; gives the status and what came back. */
export async function post(
  url: string,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): Promise<{ status: number; headers: Headers; json: unknown }> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })
  return { status: response.status, headers: response.headers, json: await response.json() }
}

/** The events of a stream of server-sent events, as they were sent. */
export async function readEvents(response: Response): Promise<string[]> {
  const text = await response.text()
  return text
    .split('\n\n')
    .filter((event) => event.startsWith('data: '))
    .map((event) => event.slice('data: '.length))
}
