import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { eventually } from '../eventually.ts'
import { type TestApi, startTestApi } from './kit.ts'

let api: TestApi
before(async () => {
  // Nothing is kept for later, so that each session that is left over is seen.
  api = await startTestApi({}, { promptCacheTokens: 0 })
})
after(() => api.stop())

const messages = [{ role: 'user', content: 'Tell me' }]
const LONG = { max_tokens: 400, ignore_eos: true, stream: true }
const REQUESTS: readonly (readonly [string, object])[] = [
  ['/v1/chat/completions', { messages, ...LONG }],
  ['/v1/chat/completions', { messages, n: 4, ...LONG }],
  ['/v1/completions', { prompt: ['a', 'b', 'c'], logprobs: 2, ...LONG }],
  ['/v1/completions', { prompt: 'a', n: 2, echo: true, logprobs: 2, ...LONG }],
  ['/v1/responses', { input: 'Tell me', max_output_tokens: 400, stream: true }],
  ['/v1/messages', { messages, max_tokens: 400, stream: true }],
]

/** Sends a request, and goes away after so many pieces of the answer; 0: at once. */
async function leave([path, body]: (typeof REQUESTS)[number], numPieces: number): Promise<void> {
  const stop = new AbortController()
  const asked = fetch(api.url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'demo', ...body }),
    signal: stop.signal,
  })
  try {
    if (numPieces === 0) setImmediate(() => stop.abort())
    let seen = 0
    for await (const _ of (await asked).body!) if (++seen >= numPieces) stop.abort()
  } catch (error) {
    assert.ok(stop.signal.aborted, String(error))
  }
}

test('clients that go away at any time leave no session and no cache on servers', async () => {
  const { blocks } = api.servers[0]!.server
  for (const numPieces of [0, 1, 2, 3, 10, 25]) {
    await Promise.all(REQUESTS.map((request) => leave(request, numPieces)))
    await eventually(() => blocks.sessions.count === 0)
  }
})
