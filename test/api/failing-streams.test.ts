import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import Anthropic from '@anthropic-ai/sdk'
import OpenAI from 'openai'
import { PetalsError } from '../../src/base/errors.ts'
import { type TestApi, startTestApi } from './kit.ts'

const REASON = 'the answer cannot go on'

/** All of its answers break off after their first words. */
let api: TestApi
before(async () => {
  api = await startTestApi()
  const { promptCache } = api.server.catalog.models[0]!
  const whole = promptCache.stream.bind(promptCache)
  promptCache.stream = async function* (...args: Parameters<typeof whole>) {
    for await (const chunk of whole(...args)) {
      yield chunk
      if (chunk.text !== '') throw new PetalsError('ENGINE_LOST', REASON)
    }
    throw new Error('the answer has no words')
  }
})
after(() => api.stop())

const messages = [{ role: 'user' as const, content: 'Of the people' }]
const openai = () => new OpenAI({ baseURL: `${api.url}/v1`, apiKey: 'none', maxRetries: 0 })
const anthropic = () => new Anthropic({ baseURL: api.url, apiKey: 'none', maxRetries: 0 })

/** Reads a stream; what it has brought, and why it ended. */
async function read<T>(stream: AsyncIterable<T>): Promise<{ events: T[]; message: string }> {
  const events: T[] = []
  try {
    for await (const event of stream) events.push(event)
    return { events, message: '' }
  } catch (error) {
    return { events, message: (error as Error).message }
  }
}

test('each client raises what ends a stream, and has had what came before', async () => {
  const chat = await openai().chat.completions.create({ model: 'demo', messages, stream: true })
  const response = await openai().responses.create({ model: 'demo', input: 'Of the people', stream: true })
  const message = await anthropic().messages.create({ model: 'demo', max_tokens: 50, messages, stream: true })
  for (const stream of [chat, response, message] as AsyncIterable<unknown>[]) {
    const found = await read(stream)
    assert.match(found.message, new RegExp(REASON))
    assert.ok(found.events.length > 1)
  }
})

test('a response that fails says so in its last event, which clients look for that pass over errors', async () => {
  const answer = await fetch(`${api.url}/v1/responses`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'demo', input: 'Of the people', stream: true }),
  })
  const events = (await answer.text()).split('\n\n').filter((event) => event !== '')
  const told = events.map((event) => JSON.parse(event.slice(event.indexOf('data: ') + 6)) as Record<string, unknown>)
  const [error, failed] = told.slice(-2) as [
    Record<string, unknown>,
    { type: string; response: OpenAI.Responses.Response },
  ]
  const { type, code, message } = error
  assert.deepEqual([type, code, message], ['error', 'engine_lost', REASON])
  assert.equal(failed.type, 'response.failed')
  assert.equal(failed.response.status, 'failed')
  assert.deepEqual(failed.response.error, { code: 'engine_lost', message: REASON })
  assert.equal(failed.response.id, (told[0] as { response: { id: string } }).response.id)
})
