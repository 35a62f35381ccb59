import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { type LocalSwarm, startLocalSwarm } from '../../src/cli/process/local-swarm.ts'
import { BUNDLED_MODEL } from '../../src/cli/values/bundled-model.ts'
import { generateSwarmKey } from '../../src/swarm/guards/swarm-key.ts'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { LOOPBACK, run, start, until } from './kit.ts'

// Multicast stays on the loopback interface, and the key of this test keeps other tests out.
const ON_LOOPBACK = { env: { PETALS_MDNS_INTERFACE: '127.0.0.1' } }

describe('a private swarm that holds half of a model', () => {
  let folder: string
  let key: string
  let otherKey: string
  let swarm: LocalSwarm

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'petals-join-'))
    key = join(folder, 'swarm.key')
    otherKey = join(folder, 'other.key')
    await writeFile(key, generateSwarmKey())
    await writeFile(otherKey, generateSwarmKey())
    swarm = await startLocalSwarm({
      model: BUNDLED_MODEL,
      spans: [[0, 4]],
      bootstrap: false,
      threads: 1,
      extraArgs: ['--swarm-key', key],
    })
  })
  after(async () => {
    await swarm.stop()
    await rm(folder, { recursive: true })
  })

  test('one word, made by invite, stands for address and key in every command', async (t) => {
    const invited = await run(t, 'invite', '--bootstrap', swarm.bootstrap, '--swarm-key', key)
    assert.equal(invited.code, 0, invited.stderr)
    const token = invited.stdout.trim()
    assert.match(token, /^petals-[\w-]+$/)
    const status = await run(t, 'status', '--bootstrap', token, '--json')
    assert.equal(status.code, 0, status.stderr)
    const { models } = JSON.parse(status.stdout) as { models: { missing: string[] }[] }
    assert.deepEqual(models[0]!.missing, ['4:8'])
    const other = await run(t, 'invite', '--bootstrap', token)
    assert.equal(other.stdout.trim(), token, 'a token may be passed on')
    const { ended, out } = start(t, ['generate', '-p', 'a', '--wait', '0', '--bootstrap', token])
    assert.equal(await ended, 3)
    assert.match(out.stderr, /--blocks 4:8 --bootstrap TOKEN"/, 'the key is not told')
    assert.ok(!out.stderr.includes(token))
  })

  test('exit codes tell what cannot be from what is not there just now', async (t) => {
    const cases: [string[], number, RegExp][] = [
      [['status', '--bootstrap', swarm.bootstrap, '--swarm-key', otherKey], 3, /took the handshake/],
      [['status', '--bootstrap', swarm.bootstrap], 3, /took the handshake/],
      [
        ['status', '--bootstrap', swarm.bootstrap, '--swarm-key', `${key}.gone`],
        2,
        /--swarm-key .*gone: .*no such file/i,
      ],
      [['status', '--bootstrap', swarm.bootstrap, '--swarm-key', BUNDLED_MODEL], 2, /--swarm-key /],
      [['status', '--bootstrap', 'petals-AAAA'], 2, /--bootstrap: the join token cannot be read/],
      [['status', '--bootstrap', swarm.bootstrap, '--swarm-key', key, '--check'], 3, /^$/],
      [['status', '--bootstrap', swarm.bootstrap, '--swarm-key', key, '--check', '--watch'], 2, /exclude each other/],
      [['serve', '--identity', BUNDLED_MODEL, ...LOOPBACK], 2, /identity/],
      [['invite'], 2, /to which swarm\?/],
      [['serve', '--port', '65536'], 2, /--port 65536: expected a whole number from 0 to 65535/],
      [['serve', '--port', '1', ...LOOPBACK], 2, /--port and --listen exclude each other/],
    ]
    for (const [args, code, message] of cases) {
      const ended = await run(t, ...args)
      assert.equal(ended.code, code, `${args.join(' ')}\n${ended.stderr}`)
      assert.match(ended.stderr, message)
    }
  })

  test('nodes of one network find each other with --mdns, and without an address', async (t) => {
    const ready = join(folder, 'ready.json')
    const bootstrap = start(
      t,
      ['bootstrap', '--mdns', '--swarm-key', key, '--bootstrap', swarm.bootstrap, '--ready-file', ready, ...LOOPBACK],
      ON_LOOPBACK,
    )
    await until('the bootstrap node', () => bootstrap.out.stdout.includes('/p2p/') || undefined)
    // The bootstrap node has just begun, and may not know of the server yet.
    const models = await until('the server', async () => {
      const { ended, out } = start(t, ['status', '--mdns', '--swarm-key', key, '--json'], ON_LOOPBACK)
      assert.equal(await ended, 0, out.stderr)
      const status = JSON.parse(out.stdout) as { models: { servers: { peerId: string }[] }[] }
      return status.models.length > 0 ? status.models : undefined
    })
    assert.deepEqual(
      models[0]!.servers.map(({ peerId }) => peerId),
      [swarm.servers[0]!.peerId],
    )
    const none = start(t, ['status', '--mdns', '--swarm-key', otherKey], ON_LOOPBACK)
    assert.equal(await none.ended, 3)
    assert.match(none.out.stderr, /no node of this swarm answers in the local network/)
  })
})
