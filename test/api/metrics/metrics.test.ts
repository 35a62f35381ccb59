import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { eventually } from '../../eventually.ts'
import { createMetrics, registerEngineMetrics, registerEventLoopMetric } from '../../../src/api/metrics/metrics.ts'
import { startMetricsServer } from '../../../src/api/metrics/metrics-server.ts'
import type { RunReport } from '../../../src/engine/thread/messages.ts'

class FakeEngine extends EventEmitter<{ run: [RunReport] }> {
  readonly cacheTokens = 1024
  cacheTokensLeft = 1024
  numSessions = 0

  run(report: Pick<RunReport, 'kind' | 'rows' | 'tokens' | 'seconds'> & { waits?: number[] }): void {
    this.emit('run', { type: 'run', results: [], waits: [], ...report })
  }
}

function values(text: string): Map<string, number> {
  return new Map(
    text
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'))
      .map((line) => {
        const at = line.lastIndexOf(' ')
        return [line.slice(0, at), Number(line.slice(at + 1))]
      }),
  )
}

test('the endpoint counts device runs and reads sizes when it is scraped', async (t) => {
  const registry = createMetrics()
  const engine = new FakeEngine()
  registerEngineMetrics(registry, engine)
  const server = await startMetricsServer(
    { registry, health: () => ({ state: 'ONLINE', sessions: 0, alive: true }) },
    { host: '127.0.0.1', port: 0 },
  )
  t.after(() => server.stop())
  engine.run({ kind: 'decode', rows: 5, tokens: 5, seconds: 0.003, waits: [0, 0.0001, 0.0015, 3] })
  engine.run({ kind: 'decode', rows: 1, tokens: 1, seconds: 0.5 })
  engine.run({ kind: 'pass', rows: 1, tokens: 200, seconds: 0.25 })
  engine.cacheTokensLeft = 896
  engine.numSessions = 1
  const response = await fetch(`http://127.0.0.1:${server.port}/metrics`)
  assert.match(response.headers.get('content-type')!, /^text\/plain/)
  const scraped = values(await response.text())
  const expected = {
    'petals_device_runs_total{kind="decode"}': 2,
    'petals_device_runs_total{kind="pass"}': 1,
    'petals_tokens_computed_total{kind="decode"}': 6,
    'petals_tokens_computed_total{kind="pass"}': 200,
    'petals_run_rows_bucket{le="4"}': 2,
    'petals_run_rows_bucket{le="8"}': 3,
    'petals_run_seconds_bucket{le="0.004"}': 1,
    petals_run_seconds_count: 3,
    'petals_queue_wait_seconds_bucket{le="0.0005",kind="decode"}': 2,
    'petals_queue_wait_seconds_bucket{le="0.002",kind="decode"}': 3,
    'petals_queue_wait_seconds_count{kind="decode"}': 4,
    petals_engine_busy_seconds_total: 0.753,
    petals_cache_tokens: 1024,
    petals_cache_tokens_left: 896,
    petals_sessions: 1,
  }
  for (const [name, value] of Object.entries(expected)) assert.equal(scraped.get(name), value, name)
  assert.ok(scraped.get('process_resident_memory_bytes')! > 0)
})

test('the longest delay of the event loop outlives scrapes, and is forgotten in the end', async (t) => {
  const windowMs = 1000
  const registry = createMetrics()
  t.after(registerEventLoopMetric(registry, windowMs))
  const longest = async () => values(await registry.metrics()).get('petals_event_loop_delay_max_seconds')!
  await sleep(20)
  const until = performance.now() + 400
  while (performance.now() < until);
  await sleep(20)
  for (const scrape of ['first', 'second']) assert.ok((await longest()) > 0.3, scrape)
  const blocked = await longest()
  await eventually(async () => (await longest()) < blocked)
})

test('ready is a 503 unless the server is ONLINE and its model whole, health once it must restart', async (t) => {
  let state = 'JOINING'
  let alive = true
  let missing: string[] = []
  const server = await startMetricsServer(
    { registry: createMetrics(), health: () => ({ state, sessions: 2, alive, missing }) },
    { host: '127.0.0.1', port: 0 },
  )
  t.after(() => server.stop())
  const url = `http://127.0.0.1:${server.port}`
  const statuses = async () => [(await fetch(`${url}/health`)).status, (await fetch(`${url}/ready`)).status]
  assert.deepEqual(await statuses(), [200, 503])
  state = 'ONLINE'
  assert.deepEqual(await statuses(), [200, 200])
  assert.deepEqual(await (await fetch(`${url}/ready`)).json(), {
    state: 'ONLINE',
    sessions: 2,
    alive: true,
  })
  missing = ['0:3', '7:8']
  assert.deepEqual(await statuses(), [200, 503])
  assert.deepEqual(((await (await fetch(`${url}/ready`)).json()) as { missing: string[] }).missing, missing)
  missing = []
  state = 'DRAINING'
  assert.deepEqual(await statuses(), [200, 503])
  alive = false
  assert.deepEqual(await statuses(), [503, 503])
  assert.equal((await fetch(`${url}/other`)).status, 404)
  assert.equal((await fetch(`${url}/metrics`, { method: 'POST' })).status, 405)
})

test('a port in use is refused with a sentence, and stop frees it', async (t) => {
  const modules = {
    registry: createMetrics(),
    health: () => ({ state: 'ONLINE', sessions: 0, alive: true }),
  }
  const first = await startMetricsServer(modules, { host: '127.0.0.1', port: 0 })
  const again = () => startMetricsServer(modules, { host: '127.0.0.1', port: first.port })
  await assert.rejects(again(), { code: 'METRICS_LISTEN', message: /the port is in use/ })
  await first.stop()
  const second = await again()
  t.after(() => second.stop())
  await second.stop()
})
