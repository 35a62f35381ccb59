import { z } from 'zod'
import { badRequest } from '../errors/api-error.ts'
import type { Exchange } from '../http/exchange.ts'
import type { Route } from '../http/router.ts'
import type { ModelCatalog } from '../models/model-catalog.ts'
import { CHAT_REQUEST } from '../openai/chat/request.ts'
import { chatPrompt } from '../openai/chat/prepare.ts'
import { checkTextRoom, checkTokenRoom, countedTokens } from '../models/text-room.ts'
import { optional, parseRequest } from '../openai/fields.ts'
import { checkIds } from '../openai/generation-options.ts'

const TEXT = z.object({
  model: optional(z.string()),
  prompt: optional(z.string()),
  /** What llama.cpp's server calls it. */
  content: optional(z.string()),
  add_special_tokens: optional(z.boolean()),
  return_token_strs: optional(z.boolean()),
})

const STRINGS = TEXT.pick({ return_token_strs: true })

const IDS = z.object({
  model: optional(z.string()),
  tokens: z.custom<number[]>(isIds, 'must be a list of token ids: whole numbers from 0'),
})

/** By hand: a validator would make an object of each. */
function isIds(value: unknown): boolean {
  return Array.isArray(value) && value.every((id) => Number.isSafeInteger(id) && id >= 0)
}

/** `/tokenize`, `/detokenize` and `/apply-template`, as vLLM and llama.cpp's server have them. */
export function tokenRoutes(catalog: ModelCatalog): Route[] {
  return [
    {
      method: 'POST',
      path: '/tokenize',
      async handle(exchange) {
        const raw = await exchange.json()
        const { served, text, param, addSpecialTokens, withStrings } = await readText(catalog, raw, exchange)
        const { tokenizer } = served.model
        if (tokenizer === undefined) throw noTokenizer(served.id)
        await checkTextRoom(tokenizer, text, { maxTokens: countedTokens(served), param })
        const tokens = await tokenizer.encode(text, { addSpecialTokens, signal: exchange.signal })
        if (withStrings) await served.tokens.learn(tokens)
        exchange.sendJson(200, {
          tokens,
          count: tokens.length,
          max_model_len: served.maxTokens,
          token_strs: withStrings ? tokens.map((id) => served.tokens.of(id).text) : null,
        })
      },
    },
    {
      method: 'POST',
      path: '/detokenize',
      async handle(exchange) {
        const { model, tokens } = parseRequest(IDS, await exchange.json())
        const { served } = catalog.find(model, exchange)
        if (served.model.tokenizer === undefined) throw noTokenizer(served.id)
        checkTokenRoom(tokens, { maxTokens: countedTokens(served), param: 'tokens' })
        checkIds('tokens', tokens, served.model.checkpoint.config.vocabSize)
        const text = await served.model.tokenizer.decode(tokens)
        exchange.sendJson(200, { prompt: text, content: text })
      },
    },
    {
      method: 'POST',
      path: '/apply-template',
      async handle(exchange) {
        const body = parseRequest(CHAT_REQUEST, await exchange.json())
        const chosen = catalog.find(body.model, exchange)
        const prompt = await chatPrompt(chosen, body, exchange.signal)
        const room = { maxTokens: countedTokens(chosen.served), param: 'messages' }
        await checkTextRoom(chosen.served.model.tokenizer!, prompt, room)
        exchange.sendJson(200, { prompt })
      },
    },
  ]
}

/** Where the text of a request is. */
const TEXTS = ['messages', 'prompt', 'content'] as const

function isGiven(body: unknown, field: string): boolean {
  const value = typeof body === 'object' && body !== null ? (body as Record<string, unknown>)[field] : undefined
  return value !== undefined && value !== null
}

/** The text of a request: as it is, or of a chat, whose template puts special tokens into it. */
async function readText(catalog: ModelCatalog, raw: unknown, exchange: Exchange) {
  const given = TEXTS.filter((field) => isGiven(raw, field))
  if (given.length > 1) throw badRequest(`${given[1]}: give either ${given[0]} or this`, given[1])
  if (given[0] === 'messages') {
    const body = parseRequest(CHAT_REQUEST, raw)
    const chosen = catalog.find(body.model, exchange)
    const { return_token_strs: withStrings = false } = parseRequest(STRINGS, raw)
    return {
      served: chosen.served,
      text: await chatPrompt(chosen, body, exchange.signal),
      param: 'messages',
      addSpecialTokens: false,
      withStrings,
    }
  }
  const { model, prompt, content, ...fields } = parseRequest(TEXT, raw)
  const text = prompt ?? content
  if (text === undefined) throw badRequest('prompt: give a text, or messages', 'prompt')
  return {
    served: catalog.find(model, exchange).served,
    text,
    param: prompt === undefined ? 'content' : 'prompt',
    addSpecialTokens: fields.add_special_tokens ?? true,
    withStrings: fields.return_token_strs ?? false,
  }
}

function noTokenizer(id: string) {
  return badRequest(`${id} has no tokenizer`, 'model', 'no_tokenizer')
}
