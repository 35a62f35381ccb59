import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import type { Registry } from 'prom-client'
import { AccessControl } from '../../../src/api/access/access-control.ts'
import { registerApiMetrics } from '../../../src/api/metrics/api-metrics.ts'
import { registerClientMetrics } from '../../../src/api/metrics/client-metrics.ts'
import { createMetrics, registerEngineMetrics, registerEventLoopMetric } from '../../../src/api/metrics/metrics.ts'
import { type MeasuredServer, registerServerMetrics } from '../../../src/api/metrics/server-metrics.ts'
import { libp2pMetrics, registerSwarmMetrics } from '../../../src/api/metrics/swarm-metrics.ts'
import { PetalsError } from '../../../src/base/errors.ts'
import { OutputBudget } from '../../../src/server/session/output-budget.ts'
import { ServerStats } from '../../../src/server/requests/server-stats.ts'
import { RemoteError } from '../../../src/swarm/frames/remote-error.ts'
import { trafficByRpc } from '../../../src/swarm/frames/traffic.ts'
import { newTrace } from '../../../src/swarm/node/trace.ts'
import { fromFloat32 } from '../../../src/tensor/tensor.ts'
import { startNode, targetOf } from '../../swarm/kit.ts'

const PAGE = new URL('../../../docs/operations.md', import.meta.url)

function fakeServer(stats = new ServerStats()): MeasuredServer {
  const keeper = Object.assign(new EventEmitter(), {
    cacheTokens: 1024,
    cacheTokensLeft: 512,
    numSessions: 1,
    numReloads: 2,
    engine: { loadSeconds: 3, weightBytes: 4096 },
  })
  return {
    announcer: {
      state: 'ONLINE',
      throughput: 20,
      span: { modelKey: 'demo', start: 2, end: 5, dtype: 'float32', quant: 'int8', device: 'cpu', version: '1.2.3' },
    },
    blocks: { stats, sessions: { count: 1, parkedTokens: 64, outputBudget: new OutputBudget() } },
    discovery: { directory: { records: () => [{ state: 'ONLINE' }, { state: 'JOINING' }] }, unserved: () => [5, 6] },
    keeper,
  } as unknown as MeasuredServer
}

async function petalsLines(registry: Registry): Promise<string[]> {
  return (await registry.metrics()).split('\n').filter((line) => /^petals_(?:server|swarm)/.test(line))
}

test('docs/operations.md lists exactly the petals metrics that exist, with their types', async (t) => {
  const registry = createMetrics()
  const server = fakeServer()
  registerEngineMetrics(registry, server.keeper)
  registerServerMetrics(registry, server)
  registerSwarmMetrics(registry, { connections: { numPeers: 0 }, numServedStreams: {}, traffic: trafficByRpc() })
  registerClientMetrics(registry, new EventEmitter())
  registerApiMetrics(registry, new AccessControl([]))
  t.after(registerEventLoopMetric(registry))
  const existing = registry
    .getMetricsAsArray()
    .map(({ name, type }) => `${name} ${String(type)}`)
    .filter((line) => line.startsWith('petals_'))
  const page = await readFile(PAGE, 'utf8')
  const listed = [...page.matchAll(/^\| `(petals_\w+)(?:\{[\w,]+\})?` \| (\w+) \|/gm)].map(
    ([, name, type]) => `${name} ${type}`,
  )
  assert.deepEqual(listed.toSorted(), existing.toSorted())
})

test("what is counted elsewhere is read at each scrape, and a peer's codes are no labels", async () => {
  const registry = createMetrics()
  const stats = new ServerStats()
  registerServerMetrics(registry, fakeServer(stats))
  stats.failed(new PetalsError('CACHE_FULL', 'full'))
  stats.failed(new RemoteError('peer', { code: 'MADE_UP', message: '' }))
  for (const count of [1, 2]) {
    const lines = await petalsLines(registry)
    assert.ok(lines.includes(`petals_server_failures_total{code="CACHE_FULL"} ${count}`), lines.join('\n'))
    assert.ok(lines.includes('petals_server_failures_total{code="REMOTE"} 1'))
    assert.ok(lines.includes('petals_server_reloads_total 2'))
    assert.ok(lines.includes('petals_server_weight_bytes 4096'))
    assert.ok(lines.includes('petals_swarm_missing_blocks 2'))
    const info =
      'model="demo",blocks="2:5",dtype="float32",quant="int8",kv_dtype="float32",device="cpu",version="1.2.3"'
    assert.ok(lines.includes(`petals_server_info{${info}} 1`), lines.join('\n'))
    assert.ok(lines.includes('petals_server_state{state="ONLINE"} 1'))
    assert.ok(lines.includes('petals_swarm_servers{state="JOINING"} 1'))
    stats.failed(new PetalsError('CACHE_FULL', 'full'))
  }
})

test('steps and sessions are timed', async () => {
  const registry = createMetrics()
  const stats = new ServerStats()
  registerServerMetrics(registry, fakeServer(stats))
  stats.stepped(1, 0.003)
  stats.stepped(1, 0.02)
  stats.stepped(128, 0.5)
  stats.emit('session', 70)
  const lines = await petalsLines(registry)
  for (const line of [
    'petals_server_steps_total 3',
    'petals_server_step_tokens_total 130',
    'petals_server_step_seconds_bucket{le="0.004",kind="decode"} 1',
    'petals_server_step_seconds_count{kind="decode"} 2',
    'petals_server_step_seconds_sum{kind="prefill"} 0.5',
    'petals_server_session_seconds_bucket{le="64"} 0',
    'petals_server_session_seconds_bucket{le="256"} 1',
  ])
    assert.ok(lines.includes(line), `${line} in\n${lines.join('\n')}`)
})

test("a node counts its frames, and libp2p's own metrics are in the same registry after a restart too", async (t) => {
  const registry = createMetrics()
  const node = await startNode(t, { metrics: libp2pMetrics(registry) })
  registerSwarmMetrics(registry, node)
  const hidden = fromFloat32(Float32Array.of(1), [1, 1, 1])
  await node.handle('probe', async (stream) => {
    await stream.receive()
    await stream.send({ kind: 'output', hidden })
  })
  await node.stop()
  await node.start()
  const client = await startNode(t, { listen: [] })
  const stream = await client.open(targetOf(node), 'probe')
  await stream.send({ kind: 'forward', modelKey: 'm', start: 0, end: 1, trace: newTrace(), hidden })
  await stream.receive()
  const lines = (await registry.metrics()).split('\n')
  assert.ok(lines.includes('petals_swarm_frames_total{rpc="probe",direction="received"} 1'))
  assert.ok(lines.includes('petals_swarm_peers 1'))
  assert.ok(
    lines.some((line) =>
      line.startsWith('libp2p_data_transfer_bytes_total{protocol="/petals-node/probe/3.0.0 received"}'),
    ),
    lines
      .filter((line) => line.startsWith('libp2p'))
      .slice(0, 20)
      .join('\n'),
  )
  assert.ok(!lines.join('\n').includes(client.peerId))
})
