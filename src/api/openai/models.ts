import { notFound } from '../errors/api-error.ts'
import type { Route } from '../http/router.ts'
import type { ModelCatalog } from '../models/model-catalog.ts'
import type { ServedModel } from '../models/served-model.ts'

const OWNER = 'petals-node'

/**
 * `GET /v1/models` and `GET /v1/models/NAME`: models, and the adapters that servers hold for them, in OpenAI's and in
 * Anthropic's form at once, which have no field in common that means something else.
 */
export function modelRoutes(catalog: ModelCatalog): Route[] {
  return [
    {
      method: 'GET',
      path: '/v1/models',
      handle(exchange) {
        const data = catalog.models.flatMap(cardsOf)
        const pages = { has_more: false, first_id: data[0]?.id ?? null, last_id: data.at(-1)?.id ?? null }
        exchange.sendJson(200, { object: 'list', data, ...pages })
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
  const { created, maxTokens } = served
  const cardOf = (id: string, parent: string | null): ModelCard => ({
    id,
    object: 'model',
    created,
    owned_by: OWNER,
    root: id,
    parent,
    max_model_len: maxTokens,
    type: 'model',
    display_name: id,
    created_at: new Date(created * 1000).toISOString(),
  })
  return [cardOf(served.id, null), ...served.adapters.map((id) => cardOf(id, served.id))]
}
