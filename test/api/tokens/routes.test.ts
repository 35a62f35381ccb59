import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type TestApi, post, startTestApi } from '../kit.ts'

/** Characters that are too many for every model's tokens, in a body that is not too large. */
const TOO_LONG = 'x'.repeat(4_000_000)

let api: TestApi
before(async () => {
  api = await startTestApi()
})
after(() => api.stop())

interface Tokens {
  readonly tokens: readonly number[]
  readonly count: number
  readonly max_model_len: number
}

const chatOf = (content: string) => [{ role: 'user', content }]

/** Asks what has to be refused as too long, and tells which field is said to be. */
async function tooLong(path: string, body: object): Promise<unknown> {
  const { status, json } = await post(api.url + path, body)
  const { code, param, message } = (json as { error: { code: string; param: unknown; message: string } }).error
  assert.deepEqual([status, code], [400, 'context_length_exceeded'], path)
  assert.match(message, /maximum context length is 32768 tokens/)
  assert.ok(message.length < 300, 'nothing of the text is quoted')
  return param
}

async function ask(path: string, body: object): Promise<Record<string, unknown>> {
  const { status, json } = await post(api.url + path, body)
  assert.equal(status, 200, path)
  return json as Record<string, unknown>
}

test('/tokenize counts texts that the model does not take, and refuses those that no model would', async () => {
  const { status, json } = await post(`${api.url}/tokenize`, { prompt: 'word '.repeat(20_000) })
  const { tokens, count, max_model_len: most } = json as Tokens
  assert.equal(status, 200)
  assert.equal(tokens.length, count)
  assert.ok(count > 20_000 && count > most, `${count} tokens, ${most} fit`)
  assert.equal(await tooLong('/tokenize', { prompt: TOO_LONG }), 'prompt')
  assert.equal(await tooLong('/tokenize', { content: TOO_LONG }), 'content')
  assert.equal(await tooLong('/tokenize', { messages: chatOf(TOO_LONG) }), 'messages')
})

test('so do /detokenize, /apply-template and the counting of messages', async () => {
  const many = Array.from({ length: 32_769 }, () => 312)
  assert.equal(await tooLong('/detokenize', { tokens: many }), 'tokens')
  const { status, json } = await post(`${api.url}/detokenize`, { tokens: many.slice(1) })
  assert.equal(status, 200)
  const { prompt } = json as { prompt: string }
  assert.equal(prompt, (await api.model.tokenizer!.decode([312])).repeat(32_768))
  assert.equal(await tooLong('/apply-template', { messages: chatOf(TOO_LONG) }), 'messages')
  const counted = await post(`${api.url}/v1/messages/count_tokens`, { messages: chatOf(TOO_LONG) })
  assert.equal(counted.status, 400)
  const { error } = counted.json as { error: { type: string; message: string } }
  assert.equal(error.type, 'invalid_request_error')
  assert.match(error.message, /maximum context length is 32768 tokens/)
})

test('a long conversation is printed as a short one is, and counts the same wherever it is asked for', async () => {
  const messages = Array.from({ length: 2001 }, (_, i) => ({ role: 'user', content: `${i}` }))
  // The demo model's template puts nothing between messages.
  const { prompt: short } = await ask('/apply-template', { messages: chatOf('@') })
  const { prompt: long } = await ask('/apply-template', { messages })
  assert.ok(long === String(short).replace('@', messages.map(({ content }) => content).join('')))
  const { count } = await ask('/tokenize', { messages })
  assert.ok(Number(count) > 2001)
  assert.equal((await ask('/v1/messages/count_tokens', { messages }))['input_tokens'], count)
})
