import { z } from 'zod'
import type { ApiModules } from '../generating/api-modules.ts'
import { badRequest } from '../errors/api-error.ts'
import type { Exchange } from '../http/exchange.ts'
import type { Route } from '../http/router.ts'
import type { ChosenModel } from '../models/model-catalog.ts'
import { asFloat32 } from '../../tensor/tensor.ts'
import { MAX_SESSIONS, runTogether } from '../../client/generation/together.ts'
import { promptIdsOf, promptInput } from './completions/request.ts'
import { optional, parseRequest } from './fields.ts'
import { answerTokens } from './generation-options.ts'
import { UNSERVED_FIELDS } from './unserved.ts'

const EMBEDDING_REQUEST = z.object({
  model: optional(z.string()),
  input: promptInput,
  encoding_format: optional(z.enum(['float', 'base64'])),
  dimensions: optional(z.int().min(1)),
  truncate_prompt_tokens: UNSERVED_FIELDS.truncate_prompt_tokens,
})

/** `POST /v1/embeddings`: of each input the mean of its tokens' last hidden states, after the model's last norm. */
export function embeddingRoute({ catalog, queue }: ApiModules): Route {
  return {
    method: 'POST',
    path: '/v1/embeddings',
    async handle(exchange) {
      const body = parseRequest(EMBEDDING_REQUEST, await exchange.json())
      const chosen = catalog.find(body.model, exchange)
      const { hiddenSize } = chosen.served.model.checkpoint.config
      const { dimensions = hiddenSize } = body
      if (dimensions > hiddenSize)
        throw badRequest(`dimensions: ${dimensions} are more than the model's ${hiddenSize}`, 'dimensions')
      const inputs = await promptIdsOf(chosen.served, body.input, { param: 'input' })
      for (const ids of inputs) answerTokens(chosen.served, ids.length, { asked: 0, usual: 0, param: 'input' })
      chosen.served.requireServed()
      const { caller, signal } = exchange
      caller.admit()
      const tokens = inputs.reduce((sum, { length }) => sum + length, 0)
      const slots = Math.min(MAX_SESSIONS, inputs.length)
      const leave = await queue.enter({ caller, model: chosen.id, slots }, signal)
      try {
        const vectors = await embed(chosen, inputs, slots, exchange)
        caller.charge(tokens, 0)
        exchange.sendJson(200, {
          object: 'list',
          data: vectors.map((vector, index) => ({
            object: 'embedding',
            index,
            embedding: encoded(vector.subarray(0, dimensions), body.encoding_format ?? 'float'),
          })),
          model: chosen.id,
          usage: { prompt_tokens: tokens, total_tokens: tokens },
        })
      } finally {
        leave()
      }
    },
  }
}

/** The embeddings [hidden] of some inputs, a few at a time. */
function embed(
  { served, adapter }: ChosenModel,
  inputs: readonly (readonly number[])[],
  together: number,
  { signal }: Exchange,
): Promise<Float32Array[]> {
  const jobs = inputs.map((ids) => async (either: AbortSignal) => {
    const states = await served.model.hiddenStates([ids], { activeAdapter: adapter, signal: either })
    return meanRow(asFloat32(states), ids.length)
  })
  return runTogether(jobs, together, signal)
}

/** The mean of `count` rows. */
function meanRow(values: Float32Array, count: number): Float32Array {
  const width = values.length / count
  const sums = new Float64Array(width)
  for (let row = 0; row < count; row++) for (let i = 0; i < width; i++) sums[i]! += values[row * width + i]!
  return Float32Array.from(sums, (sum) => sum / count)
}

/** As numbers, or as the base64 of float32 in little-endian order, which OpenAI's own clients ask for. */
function encoded(vector: Float32Array, format: 'float' | 'base64'): readonly number[] | string {
  if (format === 'float') return [...vector]
  return Buffer.from(vector.slice().buffer).toString('base64')
}
