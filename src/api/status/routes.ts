import type { Registry } from 'prom-client'
import { VERSION } from '../../base/version.ts'
import type { Route } from '../http/router.ts'
import type { ModelCatalog } from '../models/model-catalog.ts'
import type { FairQueue } from '../queue/fair-queue.ts'

export interface StatusModules {
  readonly catalog: ModelCatalog
  readonly queue: FairQueue
  readonly registry: Registry
}

const health: Route['handle'] = (exchange) => exchange.sendJson(200, { status: 'ok' })

/** `/health` (the process lives), `/ready` (every model can be computed), `/version` and `/metrics`. */
export function statusRoutes({ catalog, queue, registry }: StatusModules): Route[] {
  return [
    { method: 'GET', path: '/health', isOpen: true, handle: health },
    { method: 'GET', path: '/ping', isOpen: true, handle: health },
    {
      method: 'GET',
      path: '/ready',
      isOpen: true,
      handle(exchange) {
        const models = catalog.models.map(({ id, missingBlocks }) => ({ id, missing_blocks: missingBlocks }))
        const isReady = catalog.isComplete && models.every(({ missing_blocks: missing }) => missing.length === 0)
        exchange.sendJson(isReady ? 200 : 503, {
          status: isReady ? 'ready' : catalog.isComplete ? 'blocks_missing' : 'loading',
          models,
          running: queue.numRunning,
          waiting: queue.numWaiting,
        })
      },
    },
    {
      method: 'GET',
      path: '/version',
      isOpen: true,
      handle: (exchange) => exchange.sendJson(200, { version: VERSION }),
    },
    {
      method: 'GET',
      path: '/metrics',
      async handle(exchange) {
        exchange.send(200, registry.contentType, await registry.metrics())
      },
    },
  ]
}
