import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import type { Finding } from '../../src/cli/commands/doctor/finding.ts'
import { LOOPBACK, run, start, tempFolder, until } from './kit.ts'

/** The hub is not to be asked by a test. */
const OFFLINE = { env: { HF_HUB_OFFLINE: '1' } }

async function diagnose(
  t: TestContext,
  ...args: string[]
): Promise<{ code: number | null; of: (check: string) => Finding[] }> {
  const { ended, out } = start(t, ['doctor', '--json', '--device', 'cpu', ...LOOPBACK, ...args], OFFLINE)
  const code = await ended
  const { findings } = JSON.parse(out.stdout) as { findings: Finding[] }
  return { code, of: (check) => findings.filter((finding) => finding.check === check) }
}

test('doctor plans for a model and is content with a machine that can compute', async (t) => {
  const { code, of } = await diagnose(t, '--model', 'models/demo')
  assert.equal(code, 0)
  assert.match(of('onnxruntime')[0]!.found, /loads and computes/)
  assert.match(of('Serving')[0]!.found, /^8 of 8 blocks fit/)
})

test('doctor asks the peers of a swarm for version, clock and a connection back', async (t) => {
  const bootstrap = start(t, ['bootstrap', ...LOOPBACK])
  const address = await until('the address', () => /^\/ip4\S+/.exec(bootstrap.out.stdout)?.[0])
  const { code, of } = await diagnose(t, '--bootstrap', address)
  assert.equal(code, 0)
  for (const check of ['Peer', 'Clock', 'Reachable']) assert.equal(of(check)[0]?.verdict, 'ok', check)
})

test('doctor enters a private swarm with its key, and says that it may be private without', async (t) => {
  const folder = await tempFolder(t)
  const key = join(folder, 'swarm.key')
  assert.equal((await run(t, 'keygen', '--out', key)).code, 0)
  const bootstrap = start(t, ['bootstrap', ...LOOPBACK, '--swarm-key', key])
  const address = await until('the address', () => /^\/ip4\S+/.exec(bootstrap.out.stdout)?.[0])
  const inside = await diagnose(t, '--bootstrap', address, '--swarm-key', key)
  assert.equal(inside.of('Peer')[0]?.verdict, 'ok', JSON.stringify(inside.of('Peer')))
  const outside = await diagnose(t, '--bootstrap', address)
  assert.equal(outside.of('Peer')[0]?.verdict, 'problem')
  assert.match(outside.of('Peer')[0]!.found, /swarm-key/)
  const broken = await diagnose(t, '--swarm-key', join(folder, 'none.key'))
  assert.match(broken.of('Port')[0]!.found, /--swarm-key .*none\.key: /)
})

test('doctor names a peer that is not there, a port in use and a model that is none, and fails', async (t) => {
  const taken = createServer().listen(0, '127.0.0.1')
  t.after(() => taken.close())
  await once(taken, 'listening')
  const { port } = taken.address() as { port: number }
  const nobody = `/ip4/127.0.0.1/tcp/1/p2p/12D3KooWSoLzampfxc4t3sy9z7yq1Cgzbi7zGXpV7nvt5hfeKUhR`
  const { code, of } = await diagnose(
    t,
    '--bootstrap',
    nobody,
    '--metrics-port',
    String(port),
    '--model',
    './no-such-folder',
  )
  assert.equal(code, 1)
  for (const check of ['Peer', 'Metrics', 'Model']) assert.equal(of(check)[0]?.verdict, 'problem', check)
  assert.match(of('Model')[0]!.found, /no-such-folder/)
})
