// Floor api/: HTTP. Here: the API put together. Rooms, from the ground up: errors/ (what clients are told), access/
// (keys, and what their owners use), queue/ (whose turn it is), models/ (what is served), generating/ (texts as they
// come, whatever their form), http/ (requests, answers, event streams), openai/, anthropic/ and tokens/ (forms of
// requests and answers), status/, metrics/ (of all floors), swarm-view/ (what the swarm looks like), pages/.

import type { Registry } from 'prom-client'
import type { SwarmLogger } from '../swarm/logger.ts'
import { AccessControl, type ApiKey } from './access/access-control.ts'
import { messageRoutes } from './anthropic/routes.ts'
import { registerApiMetrics } from './metrics/api-metrics.ts'
import { type HttpServer, type HttpServerOptions, startHttpServer } from './http/http-server.ts'
import type { RequestTracing } from './http/request-span.ts'
import { Router } from './http/router.ts'
import { ModelCatalog } from './models/model-catalog.ts'
import { chatRoute } from './openai/chat/handler.ts'
import { completionRoute } from './openai/completions/handler.ts'
import { embeddingRoute } from './openai/embeddings.ts'
import { modelRoutes } from './openai/models.ts'
import { responseRoutes } from './openai/responses/handler.ts'
import { FairQueue, type QueueOptions } from './queue/fair-queue.ts'
import { pageRoutes } from './pages/routes.ts'
import { statusRoutes } from './status/routes.ts'
import { swarmRoutes } from './swarm-view/routes.ts'
import { SwarmWatch } from './swarm-view/swarm-watch.ts'
import { tokenRoutes } from './tokens/routes.ts'
import { VllmMetrics } from './metrics/vllm-metrics.ts'

export interface ApiServerModules {
  readonly registry: Registry
  readonly logger: SwarmLogger
  /** Takes a span of each request. */
  readonly tracing?: RequestTracing | undefined
}

export interface ApiServerOptions extends HttpServerOptions, QueueOptions {
  /** Without any, everybody is let in. */
  readonly keys: readonly ApiKey[]
}

export interface ApiServer extends HttpServer {
  /** The models that are served: add to it, and say when it is complete. */
  readonly catalog: ModelCatalog
  /** What is told of the models' swarms, and of this node's load. */
  readonly swarm: SwarmWatch
}

/** Serves the API. Until models are added, requests for them are answered with status 503. Throws `API_LISTEN`. */
export async function startApiServer(
  { registry, logger, tracing }: ApiServerModules,
  options: ApiServerOptions,
): Promise<ApiServer> {
  const catalog = new ModelCatalog()
  const queue = new FairQueue(options)
  const access = new AccessControl(options.keys)
  const meters = new VllmMetrics(registry, { catalog, queue })
  const modules = { catalog, queue, meters }
  const swarm = new SwarmWatch({ catalog, queue })
  const router = new Router([
    chatRoute(modules),
    completionRoute(modules),
    ...responseRoutes(modules),
    embeddingRoute(modules),
    ...messageRoutes(modules),
    ...modelRoutes(catalog),
    ...tokenRoutes(catalog),
    ...statusRoutes({ catalog, queue, registry }),
    ...pageRoutes(),
    ...swarmRoutes(swarm),
  ])
  const onAnswered = registerApiMetrics(registry, access)
  const server = await startHttpServer({ router, access, logger, onAnswered, tracing }, options)
  swarm.start()
  return {
    catalog,
    swarm,
    port: server.port,
    // Pages that watch the swarm wait for nothing that will be complete.
    get numOpen() {
      return server.numOpen - swarm.numListeners
    },
    drain(timeoutMs) {
      swarm.stop()
      return server.drain(timeoutMs)
    },
    stop() {
      swarm.stop()
      return server.stop()
    },
  }
}
