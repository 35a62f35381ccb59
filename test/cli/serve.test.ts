import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readdir, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { openCheckpoint } from '../../src/checkpoint/checkpoint.ts'
import { modelKey } from '../../src/checkpoint/model-key.ts'
import { SwarmClient } from '../../src/client/blocks/swarm-client.ts'
import { createInferenceSession } from '../../src/client/session/open.ts'
import { fromFloat32 } from '../../src/tensor/tensor.ts'
import { silent } from '../swarm/kit.ts'
import { AutoDistributedModelForCausalLM } from '../../src/client/model/model.ts'
import { BUNDLED_MODEL } from '../../src/cli/values/bundled-model.ts'
import type { ReadyReport } from '../../src/cli/process/ready-file.ts'
import { LOOPBACK, readJson, run, start, tempFolder, until } from './kit.ts'

const SERVE = ['serve', ...LOOPBACK, '--threads', '1', '--attn-cache-tokens', '4096']

test('a server writes its ready file once it serves, and takes it away when it is told to stop', async (t) => {
  const folder = await tempFolder(t)
  const file = join(folder, 'ready.json')
  await writeFile(file, '"left behind by a run that was killed"')
  const { child, out, ended } = start(t, [...SERVE, '--blocks', '3:6', '--ready-file', file, '--metrics-port', '0'])
  const report = await until('the ready file', async () => {
    const found = await readJson<ReadyReport | string>(file)
    return typeof found === 'object' ? found : undefined
  })
  assert.deepEqual(
    { ...report, peerId: '', multiaddrs: [], metricsPort: 0 },
    { peerId: '', multiaddrs: [], blocks: '3:6', httpPort: null, metricsPort: 0 },
  )
  assert.ok(report.multiaddrs[0]!.endsWith(`/p2p/${report.peerId}`))
  const health = await fetch(`http://127.0.0.1:${report.metricsPort}/health`)
  const status = { state: 'ONLINE', sessions: 0, alive: true }
  assert.deepEqual([health.status, await health.json()], [200, status])
  const ready = await fetch(`http://127.0.0.1:${report.metricsPort}/ready`)
  assert.deepEqual([ready.status, await ready.json()], [503, { ...status, missing: ['0:3', '6:8'] }])

  child.kill('SIGTERM')
  assert.equal(await ended, 0)
  assert.deepEqual(await readdir(folder), [])
  const lines = out.stderr
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { msg: string })
  assert.ok(
    lines.some(({ msg }) => msg.endsWith(`--bootstrap ${report.multiaddrs[0]}`)),
    'how others join',
  )
  assert.equal(lines.at(-1)?.msg, 'stopped')
})

test('SIGTERM lets an open session end, refuses new ones, and then stops', async (t) => {
  const file = join(await tempFolder(t), 'ready.json')
  const { child, out, ended } = start(t, [...SERVE, '--ready-file', file])
  const { multiaddrs } = await until('the ready file', () => readJson<ReadyReport>(file))
  const model = await AutoDistributedModelForCausalLM.fromPretrained(BUNDLED_MODEL, {
    bootstrap: multiaddrs.slice(0, 1),
    threads: 1,
  })
  t.after(() => model.close())
  const session = model.inferenceSession({ maxLength: 16 })
  await session.step([0, 39])
  child.kill('SIGTERM')
  await until('draining', () => out.stderr.includes('draining'))
  await session.step([70])
  assert.equal(session.position, 3)
  await session.close()
  assert.equal(await ended, 0)
  assert.doesNotMatch(out.stderr, /cut off/)
})

test('others see the throughput that a server is told, and one peer gets as many tokens as it is told', async (t) => {
  const file = join(await tempFolder(t), 'ready.json')
  const limits = ['--throughput', '4321.5', '--peer-tokens', '20']
  const { child, ended } = start(t, [...SERVE, '--blocks', '0:2', ...limits, '--ready-file', file])
  const { multiaddrs, peerId } = await until('the ready file', () => readJson<ReadyReport>(file))
  const { config, ...checkpoint } = await openCheckpoint(BUNDLED_MODEL)
  const client = await SwarmClient.connect({
    bootstrap: multiaddrs.slice(0, 1),
    modelKey: await modelKey({ config, ...checkpoint }, undefined),
    numBlocks: config.numBlocks,
    logger: silent,
  })
  t.after(() => client.close())
  const record = await until('its record', async () => client.records().find((found) => found.peerId === peerId))
  assert.equal(record.throughput, 4321.5)
  assert.equal(record.decodeRate, 2 * 4321.5)

  const session = createInferenceSession(client, config, { start: 0, end: 2 }, { maxLength: 64 })
  t.after(() => session.close())
  const began = performance.now()
  await session.step(fromFloat32(new Float32Array(40 * config.hiddenSize).fill(0.1), [40, config.hiddenSize]))
  assert.ok(performance.now() - began > 950, 'more than a second of 20 tokens takes another one')
  child.kill('SIGKILL')
  await ended
})

test('a second signal stops a draining server at once', async (t) => {
  const file = join(await tempFolder(t), 'ready.json')
  const { child, out, ended } = start(t, [...SERVE, '--ready-file', file])
  const { multiaddrs } = await until('the ready file', () => readJson<ReadyReport>(file))
  const model = await AutoDistributedModelForCausalLM.fromPretrained(BUNDLED_MODEL, {
    bootstrap: multiaddrs.slice(0, 1),
    threads: 1,
  })
  t.after(() => model.close())
  const session = model.inferenceSession({ maxLength: 16 })
  t.after(() => session.close())
  await session.step([0, 39])
  child.kill('SIGINT')
  await until('draining', () => out.stderr.includes('draining'))
  await new Promise((resolve) => {
    setTimeout(resolve, 300)
  })
  child.kill('SIGINT')
  assert.equal(await ended, 130)
  assert.equal(await readJson(file), undefined)
})

test('a bootstrap node has metrics, too; a port in use is told before anything is loaded', async (t) => {
  const file = join(await tempFolder(t), 'ready.json')
  const first = start(t, ['bootstrap', ...LOOPBACK, '--ready-file', file, '--metrics-port', '0'])
  const { metricsPort: port } = await until('the ready file', () => readJson<ReadyReport>(file))
  const scrape = async (path: string) => fetch(`http://127.0.0.1:${port}${path}`)
  assert.equal((await scrape('/ready')).status, 200)
  assert.match(await (await scrape('/metrics')).text(), /^petals_swarm_peers 0$/m)
  const { code, stderr } = await run(t, ...SERVE, '--metrics-port', String(port))
  assert.equal(code, 1)
  assert.match(stderr, new RegExp(`cannot serve metrics on 127.0.0.1:${port}: the port is in use`))
  first.child.kill('SIGTERM')
  await first.ended
})

test('a bootstrap node that finds another one under its own identity says so', async (t) => {
  const args = ['bootstrap', ...LOOPBACK, '--identity', join(await tempFolder(t), 'key')]
  const first = start(t, args)
  const address = await until('the address', () => first.out.stdout.split('\n', 2)[0] || undefined)
  const second = start(t, [...args, '--bootstrap', address])
  const warning = await until('a warning', () => /another node uses the same identity.*/.exec(second.out.stderr)?.[0])
  assert.ok(warning.includes(address), warning)
  assert.match(warning, /give each its own --identity file/)
})

test('a bootstrap node prints its address and ends with the process that started it', async (t) => {
  const { child, out } = start(t, ['bootstrap', ...LOOPBACK], { stdio: ['ignore', 'pipe', 'pipe', 'ipc'] })
  const address = await until(
    'the address',
    () => /^\/ip4\/127\.0\.0\.1\/tcp\/(\d+)\/p2p\/\w+\n$/.exec(out.stdout) ?? undefined,
  )
  const socket = connect(Number(address[1]), '127.0.0.1')
  await new Promise((resolve, reject) => {
    socket.once('connect', resolve).once('error', reject)
  })
  socket.destroy()
  // A parent that disconnects gets no 'close' from Node.
  const exited = once(child, 'exit')
  child.disconnect()
  assert.deepEqual(await exited, [0, null])
})
