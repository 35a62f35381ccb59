import assert from 'node:assert/strict'
import { Writable } from 'node:stream'
import { type TestContext, test } from 'node:test'
import OpenAI, { APIError } from 'openai'
import { pino } from 'pino'
import { PetalsError } from '../../../src/base/errors.ts'
import { AccessControl } from '../../../src/api/access/access-control.ts'
import { badRequest } from '../../../src/api/errors/api-error.ts'
import { startHttpServer } from '../../../src/api/http/http-server.ts'
import { Router } from '../../../src/api/http/router.ts'
import { streamEvents } from '../../../src/api/openai/stream-events.ts'
import { TraceExport } from '../../../src/api/trace-export.ts'
import { collect, setVariables } from '../../cli/trace-collector.ts'
import { OPEN } from '../kit.ts'

/** Serves one stream that breaks off with an error; gives what was logged, and the spans. */
async function breaking(t: TestContext, error: Error) {
  const { url, got } = await collect(t)
  setVariables(t, { OTEL_EXPORTER_OTLP_ENDPOINT: url })
  const lines: string[] = []
  const log = new Writable({
    write(chunk: Buffer, _encoding, done) {
      lines.push(chunk.toString())
      done()
    },
  })
  const logger = pino({}, log)
  const tracing = new TraceExport(logger)
  const router = new Router([
    {
      method: 'POST',
      path: '/v1/chat/completions',
      handle: (exchange) =>
        streamEvents(exchange, async (send) => {
          await send({ choices: [] })
          throw error
        }),
    },
  ])
  const server = await startHttpServer({ router, access: new AccessControl([]), logger, tracing }, OPEN)
  const client = new OpenAI({ baseURL: `http://127.0.0.1:${server.port}/v1`, apiKey: 'none', maxRetries: 0 })
  const stream = await client.chat.completions.create({ model: 'm', messages: [], stream: true })
  await assert.rejects(async () => {
    for await (const chunk of stream) assert.deepEqual(chunk.choices, [])
  }, APIError)
  await server.stop()
  await tracing.stop()
  return { logged: lines.join(''), spans: got }
}

test('a stream that breaks off is logged, and its span has failed, though its status is 200', async (t) => {
  const { logged, spans } = await breaking(t, new PetalsError('ENGINE_LOST', 'the engine is gone'))
  assert.match(logged, /"code":"ENGINE_LOST".*the engine is gone/)
  const [span] = spans
  assert.deepEqual(span!.status, { code: 2 })
  const attributes = Object.fromEntries(span!.attributes.map(({ key, value }) => [key, value]))
  assert.deepEqual(attributes['error.type'], { stringValue: 'ENGINE_LOST' })
  assert.deepEqual(attributes['http.response.status_code'], { intValue: 200 })
})

test("one that ends because of what was asked is the client's fault", async (t) => {
  const { logged, spans } = await breaking(t, badRequest('no'))
  assert.equal(logged, '')
  assert.deepEqual(spans[0]!.status, { code: 0 })
})
