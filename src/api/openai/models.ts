import { notFound } from '../errors/api-error.ts'
import type { Route } from '../http/router.ts'
import type { ModelCatalog } from '../models/model-catalog.ts'
import type { ServedModel } from '../models/served-model.ts'

const OWNER = 'petals-node'

/** `GET /v1/models` and `GET /v1/models/NAME`: models, and the adapters that servers hold for them. */
export function modelRoutes(catalog: ModelCatalog): Route[] {
  return [
    {
      method: 'GET',
      path: '/v1/models',
      handle(exchange) {
        exchange.sendJson(200, { object: 'list', data: catalog.models.flatMap(cardsOf) })
      },
    },
    {
      method: 'GET',
      path: '/v1/models/*',
      handle(exchange, name) {
        const { id, served, adapter } = catalog.find(name, exchange)
        const card = cardsOf(served).find((each) => each.id === id)
        if (card === undefined) throw notFound(`there is no model ${JSON.stringify(adapter ?? id)}`, 'model_not_found')
        exchange.sendJson(200, card)
      },
    },
  ]
}

interface ModelCard {
  readonly id: string
  readonly [field: string]: unknown
}

/** A model, then its adapters. */
function cardsOf(served: ServedModel): ModelCard[] {
  const common = { object: 'model', created: served.created, owned_by: OWNER }
  const base = { id: served.id, ...common, root: served.id, parent: null, max_model_len: served.maxTokens }
  return [
    base,
    ...served.adapters.map((id) => ({
      id,
      ...common,
      root: id,
      parent: served.id,
      max_model_len: served.maxTokens,
    })),
  ]
}
