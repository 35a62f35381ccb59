import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { pino } from 'pino'
import { type ApiServer, type ApiServerOptions, startApiServer } from '../../../src/api/api-server.ts'
import { createMetrics } from '../../../src/api/metrics/metrics.ts'
import { readEvents } from '../../../src/api/pages/browser/shared/event-stream.ts'
import type { SwarmSnapshot } from '../../../src/api/swarm-view/snapshot.ts'
import { eventually } from '../../eventually.ts'
import { OPEN } from '../kit.ts'

async function start(t: TestContext, options: Partial<ApiServerOptions> = {}): Promise<[ApiServer, url: string]> {
  const modules = { registry: createMetrics(), logger: pino({ level: 'silent' }) }
  const server = await startApiServer(modules, { ...OPEN, ...options })
  t.after(() => server.stop())
  return [server, `http://127.0.0.1:${server.port}`]
}

test('the swarm is told as JSON and as events, with the load of this node', async (t) => {
  const [server, url] = await start(t)
  server.swarm.serving = () => ({ sessions: 2, cacheTokens: 100, cacheTokensLeft: 40 })
  const snapshot = (await (await fetch(`${url}/swarm.json`)).json()) as SwarmSnapshot
  assert.deepEqual([snapshot.models, snapshot.happenings], [[], []])
  const { serving, running, waiting, memoryBytes, busyCores } = snapshot.node
  assert.deepEqual([serving?.sessions, running, waiting], [2, 0, 0])
  assert.ok(memoryBytes > 0 && busyCores >= 0)

  const response = await fetch(`${url}/swarm/events`)
  assert.match(response.headers.get('content-type')!, /^text\/event-stream/)
  let numEvents = 0
  for await (const { data } of readEvents(response.body!)) {
    assert.equal((JSON.parse(data) as SwarmSnapshot).node.serving?.cacheTokensLeft, 40)
    numEvents += 1
    if (numEvents === 2) break
  }
  await eventually(() => server.swarm.numListeners === 0)
})

test('a page that watches the swarm does not hold up the end, and is told of it', async (t) => {
  const [server, url] = await start(t)
  const events = readEvents((await fetch(`${url}/swarm/events`)).body!)
  await events.next()
  assert.equal(server.numOpen, 0)
  await server.drain(60_000)
  while ((await events.next()).done !== true);
})

test('there are no more watchers than can be told', async (t) => {
  const [server, url] = await start(t)
  const abort = new AbortController()
  t.after(() => abort.abort())
  for (let i = 0; i < 64; i += 1)
    assert.equal((await fetch(`${url}/swarm/events`, { signal: abort.signal })).status, 200)
  const refused = await fetch(`${url}/swarm/events`)
  assert.equal(refused.status, 503)
  assert.ok(Number(refused.headers.get('retry-after')) > 0)
  abort.abort()
  await eventually(() => server.swarm.numListeners === 0)
  const again = await fetch(`${url}/swarm/events`)
  assert.equal(again.status, 200)
  await again.body?.cancel()
})

test('where keys are asked for, pages are open and what they show is not', async (t) => {
  const [, url] = await start(t, { keys: [{ name: 'ada', key: 'long-enough' }] })
  for (const path of ['/', '/swarm', '/pages/chat/main.js']) assert.equal((await fetch(url + path)).status, 200, path)
  for (const path of ['/swarm.json', '/swarm/events']) {
    assert.equal((await fetch(url + path)).status, 401, path)
    const response = await fetch(url + path, { headers: { authorization: 'Bearer long-enough' } })
    assert.equal(response.status, 200)
    await response.body?.cancel()
  }
})

test('pages come with their policy, are asked for anew by name, and only by GET and HEAD', async (t) => {
  const [, url] = await start(t)
  const page = await fetch(`${url}/`)
  assert.match(page.headers.get('content-security-policy')!, /default-src 'none'/)
  const known = { headers: { 'if-none-match': page.headers.get('etag')! } }
  assert.equal((await fetch(`${url}/`, known)).status, 304)
  const head = await fetch(`${url}/pages/styles/base.css`, { method: 'HEAD' })
  assert.deepEqual([head.status, await head.text()], [200, ''])
  assert.equal((await fetch(`${url}/`, { method: 'POST' })).status, 405)
  for (const path of ['/pages/..%2f..%2fpackage.json', '/pages/%2e%2e/page-files.ts', '/pages/nothing.js'])
    assert.equal((await fetch(url + path)).status, 404, path)
})
