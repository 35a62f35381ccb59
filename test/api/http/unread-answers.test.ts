import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { connect } from 'node:net'
import { type TestContext, test } from 'node:test'
import { pino } from 'pino'
import { AccessControl } from '../../../src/api/access/access-control.ts'
import type { Exchange } from '../../../src/api/http/exchange.ts'
import { startHttpServer } from '../../../src/api/http/http-server.ts'
import { Router } from '../../../src/api/http/router.ts'
import { eventually } from '../../eventually.ts'
import { OPEN } from '../kit.ts'

/** More than the buffers of a connection take on any machine. */
const ANSWER_BYTES = 64 * 1024 * 1024

/** Far below the limit that holds without `stallMs`. */
const SOON_MS = 30_000

/** Asks a server that gives up soon, and reads nothing of its answer; resolves when the server is done with it. */
async function leftUnread(
  t: TestContext,
  answer: (exchange: Exchange) => Promise<void> | void,
): Promise<ServerResponse> {
  const begun = Promise.withResolvers<ServerResponse>()
  const handle = (exchange: Exchange): Promise<void> | void => {
    begun.resolve(exchange.response)
    return answer(exchange)
  }
  const router = new Router([{ method: 'GET', path: '/', handle }])
  const modules = { router, access: new AccessControl([]), logger: pino({ level: 'silent' }) }
  const server = await startHttpServer(modules, { ...OPEN, stallMs: 200 })
  t.after(() => server.stop())
  const socket = connect(server.port, '127.0.0.1')
  t.after(() => socket.destroy())
  socket.on('error', () => undefined)
  await once(socket, 'connect')
  socket.pause()
  socket.write('GET / HTTP/1.1\r\nhost: localhost\r\n\r\n')
  const response = await begun.promise
  if (!response.closed) await once(response, 'close', { signal: AbortSignal.timeout(SOON_MS) })
  await eventually(() => server.numOpen === 0)
  return response
}

test('a whole answer that its client does not read is given up, with its connection', async (t) => {
  const response = await leftUnread(t, (exchange) => exchange.send(200, 'text/plain', Buffer.alloc(ANSWER_BYTES, 'x')))
  assert.equal(response.headersSent, true)
  assert.equal(response.writableFinished, false)
})

test('so is a stream of events, and whoever makes them is told', async (t) => {
  const event = 'x'.repeat(1024 * 1024)
  let failure: unknown
  const response = await leftUnread(t, async (exchange) => {
    const events = exchange.events()
    try {
      for (let sent = 0; sent < ANSWER_BYTES; sent += event.length) await events.send(event)
    } catch (error) {
      failure = error
    } finally {
      events.end()
    }
  })
  assert.equal(response.writableFinished, false)
  assert.match(String(failure), /does not read its answer/)
})
