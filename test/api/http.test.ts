import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type Socket, connect } from 'node:net'
import { type TestContext, test } from 'node:test'
import { pino } from 'pino'
import { type ApiServer, type ApiServerOptions, startApiServer } from '../../src/api/api-server.ts'
import { createMetrics } from '../../src/api/metrics/metrics.ts'
import { eventually } from '../eventually.ts'
import { OPEN, post } from './kit.ts'

interface Started {
  readonly url: string
  readonly server: ApiServer
  /** What was logged, a line each. */
  readonly log: string[]
}

/** An API without models: what clients do to it does not depend on them. */
async function startApi(t: TestContext, options: Partial<ApiServerOptions> = {}): Promise<Started> {
  const log: string[] = []
  const logger = pino({ level: 'trace' }, { write: (line: string) => void log.push(line) })
  const server = await startApiServer({ registry: createMetrics(), logger }, { ...OPEN, ...options })
  server.catalog.complete()
  t.after(() => server.stop())
  return { url: `http://127.0.0.1:${server.port}`, server, log }
}

/** A connection to the API, and what came back over it. */
async function dial(t: TestContext, { server }: Started): Promise<{ socket: Socket; read: () => string }> {
  const socket = connect(server.port, '127.0.0.1')
  t.after(() => socket.destroy())
  await once(socket, 'connect')
  let text = ''
  socket.setEncoding('utf8').on('data', (piece: string) => {
    text += piece
  })
  socket.on('error', () => undefined)
  return { socket, read: () => text }
}

const errorOf = (json: unknown) => (json as { error: { code: string; type: string; param: unknown } }).error
const CHAT = '/v1/chat/completions'

test('what is no request of the API is refused with its reason, as JSON', async (t) => {
  const { url } = await startApi(t)
  const cases: [string, RequestInit, number, string][] = [
    ['/nowhere', {}, 404, 'unknown_url'],
    ['/v1/models/%ff', {}, 404, 'unknown_url'],
    [CHAT, {}, 405, 'method_not_allowed'],
    [CHAT, { method: 'POST', body: '{}', headers: { 'content-type': 'text/plain' } }, 415, 'unsupported_media_type'],
    [CHAT, { method: 'POST', body: 'a=b' }, 415, 'unsupported_media_type'],
    [
      CHAT,
      { method: 'POST', body: '{}', headers: { 'content-type': 'application/json', 'content-encoding': 'gzip' } },
      415,
      'unsupported_media_type',
    ],
    [CHAT, { method: 'POST', body: '{"a":', headers: { 'content-type': 'application/json' } }, 400, 'invalid_json'],
    [CHAT, { method: 'POST', body: '', headers: { 'content-type': 'application/json' } }, 400, 'invalid_json'],
    [CHAT, { method: 'POST', body: '[]', headers: { 'content-type': 'application/json' } }, 400, 'invalid_value'],
    [CHAT, { method: 'POST', body: 'null', headers: { 'content-type': 'application/json' } }, 400, 'invalid_value'],
  ]
  for (const [path, init, status, code] of cases) {
    const response = await fetch(url + path, init)
    assert.equal(response.status, status, path + JSON.stringify(init))
    assert.match(response.headers.get('content-type')!, /^application\/json/)
    assert.equal(errorOf(await response.json()).code, code)
    assert.equal(response.headers.get('allow'), status === 405 ? 'POST' : null)
  }
  for (const path of ['/chat/completions', '/v1/v1/chat/completions', '/v1/v1/v1/chat/completions']) {
    const { error } = (await (await fetch(url + path)).json()) as { error: { message: string } }
    assert.match(error.message, /: did you mean \/v1\/chat\/completions\? The client's base URL/, path)
  }
  const { headers } = await fetch(`${url}/v1/models`, { method: 'DELETE' })
  assert.equal(headers.get('allow'), 'GET, HEAD')
})

test('fields of wrong types are named', async (t) => {
  const { url } = await startApi(t)
  const messages = [{ role: 'user', content: 'Hi' }]
  const cases: [object, string][] = [
    [{}, 'messages'],
    [{ messages: 'Hi' }, 'messages'],
    [{ messages: [{ role: 'user', content: 5 }] }, 'messages[0].content'],
    [{ messages: [{ role: 'user', content: [{ text: 'Hi' }] }] }, 'messages[0].content[0].type'],
    [{ messages: [{ role: 'user' }] }, 'messages[0].content'],
    [{ messages: [{ role: 'tool', content: 'x' }] }, 'messages[0].tool_call_id'],
    [{ messages, repetition_penalty: 5e-324 }, 'repetition_penalty'],
    [{ messages, response_format: { type: 'xml' } }, 'response_format.type'],
    [{ messages, response_format: { type: 'json_schema' } }, 'response_format.json_schema'],
    [{ messages, response_format: { type: 'json_schema', json_schema: {} } }, 'response_format.json_schema.schema'],
    [{ messages, tools: ['a', 'b', 'a'].map((name) => ({ type: 'function', function: { name } })) }, 'tools'],
    [{ messages, functions: [{ name: 'a' }, { name: 'a' }] }, 'functions'],
    [{ messages, modalities: ['text', 'audio'] }, 'modalities[1]'],
    [{ messages, bad_words: ['a'] }, 'bad_words'],
    [{ messages, tool_choice: { type: 'function', function: { name: 'a b' } } }, 'tool_choice.function.name'],
    [{ messages, n: 0 }, 'n'],
    [{ messages, n: 129 }, 'n'],
    [{ messages, n: 1.5 }, 'n'],
    [{ messages, temperature: -1 }, 'temperature'],
    [{ messages, max_tokens: 0 }, 'max_tokens'],
    [{ messages, stop: [''] }, 'stop[0]'],
    [{ messages, stop: 5 }, 'stop'],
    [{ messages, logit_bias: { abc: 1 } }, 'logit_bias.abc'],
    [{ messages, logit_bias: { '05': 1 } }, 'logit_bias.05'],
    [{ messages, logit_bias: { 5: 'x' } }, 'logit_bias.5'],
    [{ messages, tools: [{ type: 'function', function: { name: 'a b' } }] }, 'tools[0].function.name'],
    [{ messages, tool_choice: 'maybe' }, 'tool_choice'],
    [{ messages, stream: 'yes' }, 'stream'],
    [{ messages, model: 5 }, 'model'],
  ]
  for (const [body, param] of cases) {
    const { status, json } = await post(url + CHAT, body)
    assert.deepEqual([status, errorOf(json).param], [400, param], JSON.stringify(body))
  }
})

test('an address with scheme and host is answered as its path is, and HEAD of events at once', async (t) => {
  const api = await startApi(t)
  for (const [target, method, status] of [
    ['http://localhost/v1/models', 'GET', 200],
    ['http://localhost/nowhere', 'GET', 404],
    ['/swarm/events', 'HEAD', 200],
  ] as const) {
    const { socket, read } = await dial(t, api)
    socket.write(`${method} ${target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n`)
    await once(socket, 'close')
    assert.match(read(), new RegExp(`^HTTP/1.1 ${status} `), target)
    if (method === 'GET') assert.match(read(), /content-type: application\/json/)
  }
})

test('nothing of a request is logged, nor of its key', async (t) => {
  const { url, log } = await startApi(t, { keys: [{ name: 'a', key: 'sk-very-secret' }] })
  const body = { messages: [{ role: 'user', content: 'my-own-words' }], tool_choice: 'my-own-choice' }
  await post(url + CHAT, body, { authorization: 'Bearer sk-very-secret' })
  await post(url + CHAT, body, { authorization: 'Bearer sk-not-known' })
  await post(url + CHAT, '{"my-own-words', { authorization: 'Bearer sk-very-secret' })
  assert.doesNotMatch(log.join('\n'), /my-own|sk-/)
})

const withMetadata = (depth: number) => `{"input":"Hi","metadata":{"a":${'['.repeat(depth)}${']'.repeat(depth)}}}`

test('a body that is nested too deep is refused, and brackets in texts are none', async (t) => {
  const { url } = await startApi(t)
  for (const path of [CHAT, '/v1/responses', '/v1/messages', '/tokenize'])
    assert.equal((await post(url + path, withMetadata(100_000))).status, 400, path)
  assert.equal((await post(`${url}/v1/responses`, withMetadata(500))).status, 404)
  const text = JSON.stringify({ input: `${'[{'.repeat(5000)}"\\"${'[{'.repeat(5000)}` })
  assert.equal((await post(`${url}/v1/responses`, text)).status, 404)
})

test('a body that is too large is refused before it has been read, and the answer arrives', async (t) => {
  const api = await startApi(t)
  const { status, json } = await post(api.url + CHAT, JSON.stringify({ messages: 'x'.repeat(5_000_000) }))
  assert.deepEqual([status, errorOf(json).code], [413, 'body_too_large'])
  // A client that sends all of it before it reads anything has the answer as well.
  const patient = await dial(t, api)
  patient.socket.pause()
  const head = `POST ${CHAT} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n`
  const sent = once(patient.socket, 'drain')
  patient.socket.write(`${head}content-length: 20000000\r\n\r\n${'x'.repeat(20_000_000)}`)
  await sent
  patient.socket.resume()
  await eventually(() => patient.read().startsWith('HTTP/1.1 413'))
  patient.socket.write('GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n')
  await eventually(() => patient.read().includes('HTTP/1.1 200'))
  // Without a length, it is counted.
  const { socket, read } = await dial(t, api)
  socket.write(`POST ${CHAT} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n`)
  socket.write('transfer-encoding: chunked\r\n\r\n')
  const piece = `10000\r\n${'x'.repeat(65_536)}\r\n`
  for (let i = 0; i < 80 && !socket.destroyed; i++) socket.write(piece)
  await eventually(() => read().startsWith('HTTP/1.1 413'))
  await eventually(() => socket.destroyed || socket.readableEnded)
})

test('a request that never ends is given up, and others are answered meanwhile', async (t) => {
  const api = await startApi(t, { requestTimeoutMs: 1000 })
  const halves = [
    'GET /health HTTP/1.1\r\nhost: local',
    `POST ${CHAT} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{"mess`,
    '',
  ]
  const dialled = await Promise.all(halves.map(() => dial(t, api)))
  for (const [i, { socket }] of dialled.entries()) socket.write(halves[i]!)
  for (let i = 0; i < 5; i++) assert.equal((await fetch(`${api.url}/health`)).status, 200)
  await eventually(() => dialled.slice(0, 2).every(({ socket }) => socket.destroyed || socket.readableEnded))
})

test('what is no HTTP at all does no harm', async (t) => {
  const api = await startApi(t)
  for (const junk of [
    '\0\0\0\0',
    'GET\r\n\r\n',
    `GET / HTTP/1.1\r\nx: ${'y'.repeat(100_000)}\r\n\r\n`,
    '{"a":1}\r\n\r\n',
  ]) {
    const { socket, read } = await dial(t, api)
    socket.write(junk)
    await eventually(() => socket.destroyed || socket.readableEnded || read().startsWith('HTTP/1.1 4'))
  }
  const { socket } = await dial(t, api)
  socket.write(
    `POST ${CHAT} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 50\r\n\r\n{`,
  )
  socket.resetAndDestroy()
  await eventually(() => api.server.numOpen === 0)
  assert.equal((await fetch(`${api.url}/health`)).status, 200)
})

test('what never becomes a request is answered in the form of all errors', async (t) => {
  const api = await startApi(t)
  const cases: readonly (readonly [sent: string, status: number, code: string])[] = [
    ['{"a":1}\r\n\r\n', 400, 'invalid_http'],
    [`GET / HTTP/1.1\r\nx: ${'y'.repeat(100_000)}\r\n\r\n`, 431, 'headers_too_large'],
    ['GET /health HTTP/1.1\r\nhost: localhost\r\nexpect: miracles\r\n\r\n', 417, 'expectation_failed'],
    ['GET /health HTTP/1.1\r\n\r\n', 403, 'host_not_allowed'],
    [
      'POST /tokenize HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n',
      400,
      'invalid_http',
    ],
  ]
  for (const [sent, status, code] of cases) {
    const { socket, read } = await dial(t, api)
    socket.write(sent)
    await eventually(() => /\r\n\r\n.*\}$/s.test(read()))
    const [head, body] = read().split('\r\n\r\n') as [string, string]
    assert.ok(head.startsWith(`HTTP/1.1 ${status} `), head)
    assert.match(head, /content-type: application\/json/)
    assert.deepEqual([errorOf(JSON.parse(body)).type, errorOf(JSON.parse(body)).code].includes(code), true, body)
  }
})

test('rubbish behind a request leaves the answer to it as it is', async (t) => {
  const api = await startApi(t)
  const { socket, read } = await dial(t, api)
  socket.write('GET /swarm/events HTTP/1.1\r\nhost: localhost\r\n\r\n')
  await eventually(() => read().includes('text/event-stream'))
  socket.write('rubbish\r\n\r\n')
  await eventually(() => socket.destroyed || socket.readableEnded)
  assert.equal(read().match(/HTTP\/1.1/g)?.length, 1)
})

test('hosts that this server is not known as are refused, as other sites have their names point here', async (t) => {
  const api = await startApi(t, { allowedHosts: ['llm.example.com'] })
  const statusFor = async (host: string): Promise<string> => {
    const { socket, read } = await dial(t, api)
    socket.write(`GET /health HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n\r\n`)
    await once(socket, 'end')
    return read().split(' ')[1]!
  }
  for (const host of ['localhost', 'LOCALHOST:80', '127.0.0.1:8000', '[::1]:80', '10.0.0.7', 'llm.example.com:443'])
    assert.equal(await statusFor(host), '200', host)
  for (const host of ['evil.com', 'evil.com:8000', 'localhost.evil.com', '127.0.0.1.evil.com', 'example.com', ''])
    assert.notEqual(await statusFor(host), '200', host)
})

test("pages of other origins are let in only where they are named, and have keys' errors too", async (t) => {
  const closed = await startApi(t)
  const preflight = {
    method: 'OPTIONS',
    headers: {
      origin: 'https://page.example',
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'authorization, content-type, x-stainless-os, anthropic-beta',
    },
  }
  const refused = await fetch(closed.url + CHAT, preflight)
  assert.equal(refused.headers.get('access-control-allow-origin'), null)
  const open = await startApi(t, { corsOrigins: ['https://page.example'], keys: [{ name: 'a', key: '12345678' }] })
  const allowed = await fetch(open.url + CHAT, preflight)
  assert.equal(allowed.status, 204)
  assert.equal(allowed.headers.get('access-control-allow-origin'), 'https://page.example')
  assert.equal(
    allowed.headers.get('access-control-allow-headers'),
    preflight.headers['access-control-request-headers'],
    "OpenAI's and Anthropic's clients in a browser send headers of their own",
  )
  const answer = await post(open.url + CHAT, {}, { origin: 'https://page.example' })
  assert.deepEqual([answer.status, answer.headers.get('access-control-allow-origin')], [401, 'https://page.example'])
  const other = await post(open.url + CHAT, {}, { origin: 'https://other.example' })
  assert.equal(other.headers.get('access-control-allow-origin'), null)
})

test('request ids are echoed where they can be ids, and given else', async (t) => {
  const { url } = await startApi(t)
  const idFor = async (id: string) =>
    (await fetch(`${url}/health`, { headers: { 'x-request-id': id } })).headers.get('x-request-id')
  assert.equal(await idFor('req-1.a:B_c'), 'req-1.a:B_c')
  for (const id of ['a b', 'x'.repeat(200), '<script>']) assert.match((await idFor(id))!, /^[\da-f-]{36}$/)
})

test('a model that is still being opened is a 503 with a time to come back', async (t) => {
  const server = await startApiServer({ registry: createMetrics(), logger: pino({ level: 'silent' }) }, OPEN)
  t.after(() => server.stop())
  const url = `http://127.0.0.1:${server.port}`
  const { status, headers, json } = await post(url + CHAT, { messages: [{ role: 'user', content: 'Hi' }] })
  assert.deepEqual([status, errorOf(json).code], [503, 'model_loading'])
  assert.ok(Number(headers.get('retry-after')) > 0)
  assert.equal((await fetch(`${url}/ready`)).status, 503)
  server.catalog.complete()
  assert.equal((await post(url + CHAT, { messages: [{ role: 'user', content: 'Hi' }] })).status, 404)
})

test('a port in use is refused with a sentence, and stopping frees it', async (t) => {
  const first = await startApi(t)
  const modules = { registry: createMetrics(), logger: pino({ level: 'silent' }) }
  const again = () => startApiServer(modules, { ...OPEN, port: first.server.port })
  await assert.rejects(again(), { code: 'API_LISTEN', message: /the port is in use/ })
  await first.server.stop()
  await first.server.stop()
})
