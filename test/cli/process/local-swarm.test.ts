import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { BUNDLED_MODEL } from '../../../src/cli/values/bundled-model.ts'
import { type LocalSwarm, type LocalSwarmEvent, startLocalSwarm } from '../../../src/cli/process/local-swarm.ts'
import { goldenContinuation, run, start, until } from '../kit.ts'

const PROMPT = 'Fellow-citizens of the Senate and House of Representatives:'

describe('a local swarm', () => {
  let swarm: LocalSwarm
  const events: LocalSwarmEvent[] = []

  before(async () => {
    swarm = await startLocalSwarm({
      model: BUNDLED_MODEL,
      spans: [
        [0, 4],
        [4, 8],
      ],
      threads: 1,
      extraArgs: ['--attn-cache-tokens', '8192'],
      onEvent: (event) => events.push(event),
    })
  })
  after(() => swarm.stop())

  test('has a server for each span, and tells of each node as it becomes ready', () => {
    assert.deepEqual(
      swarm.servers.map(({ blocks }) => blocks),
      ['0:4', '4:8'],
    )
    assert.deepEqual(events.map(({ type, name }) => `${type} ${name}`).toSorted(), [
      'ready bootstrap',
      'ready server 0:4',
      'ready server 4:8',
    ])
    for (const { pid, metricsPort } of swarm.servers) assert.ok(pid > 0 && metricsPort! > 0)
  })

  test('generate writes the text and nothing else to stdout', async (t) => {
    const { code, stdout, stderr } = await run(t, 'generate', '--prompt', PROMPT, '--bootstrap', swarm.bootstrap)
    assert.equal(stdout, await goldenContinuation())
    assert.match(stderr, /^route: blocks 0:4 on …\w{8} \(float32\), 4:8 on …\w{8} \(float32\)\n/)
    assert.match(stderr, /\n64 tokens in .* tokens\/s\)/)
    assert.equal(code, 0)
  })

  test('generate stops before a stop text and takes token ids for a prompt', async (t) => {
    const golden = await goldenContinuation()
    const stopped = await run(
      t,
      'generate',
      '--prompt',
      PROMPT,
      '--stop',
      ' Constitution',
      '--stop',
      ' States',
      '--bootstrap',
      swarm.bootstrap,
    )
    assert.equal(stopped.stdout, golden.slice(0, golden.indexOf(' Constitution')))
    const ids = '0,39,70,1072,14,68,3703,269,261,1558,285,1867,269,2348,27'
    const short = await run(t, 'generate', '--prompt-ids', ids, '--max-new-tokens', '3', '--bootstrap', swarm.bootstrap)
    assert.ok(short.stdout.length > 0 && golden.startsWith(short.stdout), short.stdout)
  })

  test('generate ends with one line when nobody reads on, and with 130 on Ctrl-C', async (t) => {
    const args = ['generate', '--prompt', PROMPT, '--max-new-tokens', '1900', '--bootstrap', swarm.bootstrap]
    const unread = start(t, args)
    unread.child.stdout!.once('data', () => unread.child.stdout!.destroy())
    assert.equal(await unread.ended, 1)
    assert.match(unread.out.stderr, /petals-node: cannot write the output: nobody reads it any more/)
    assert.doesNotMatch(unread.out.stderr, /EPIPE|Error/)

    const interrupted = start(t, args)
    await until('text', () => interrupted.out.stdout.length > 0)
    interrupted.child.kill('SIGINT')
    assert.equal(await interrupted.ended, 130)
    assert.doesNotMatch(interrupted.out.stderr, /Error|petals-node:/)
  })

  test('status lists the servers and draws the coverage', async (t) => {
    const { stdout, code } = await run(t, 'status', '--bootstrap', swarm.bootstrap)
    assert.equal(code, 0)
    for (const { peerId, blocks } of swarm.servers) {
      assert.match(
        stdout,
        new RegExp(`…${peerId.slice(-8)}\\s+ONLINE\\s+${blocks}\\s+cpu float32\\s+[\\d.]+\\s+.*\\b\\d+/8192`),
      )
    }
    assert.match(stdout, /holders of blocks 0:8 {2}11111111/)
    const { models } = JSON.parse(
      (await run(t, 'status', '--model', BUNDLED_MODEL, '--json', '--bootstrap', swarm.bootstrap)).stdout,
    ) as { models: { missing: string[]; servers: { peerId: string }[] }[] }
    assert.deepEqual(models[0]!.missing, [])
    assert.deepEqual(
      models[0]!.servers.map(({ peerId }) => peerId),
      swarm.servers.map(({ peerId }) => peerId),
    )
  })

  test('tells of a server that dies, and stop ends the rest', async () => {
    swarm.servers[1]!.process.kill('SIGKILL')
    await until('the death', () => events.some(({ type, name }) => type === 'died' && name === 'server 4:8'))
    await swarm.stop()
    for (const { process: child } of swarm.servers) assert.ok(child.exitCode !== null || child.signalCode !== null)
  })
})

test('a swarm without a bootstrap node begins with its first server', async (t) => {
  const swarm = await startLocalSwarm({
    model: BUNDLED_MODEL,
    spans: [[0, 8]],
    bootstrap: false,
    threads: 1,
    extraArgs: ['--attn-cache-tokens', '2048'],
  })
  t.after(() => swarm.stop())
  assert.equal(swarm.bootstrap, swarm.servers[0]!.multiaddrs[0])
})

test('a server that cannot start is told with its last words, and nothing is left', async () => {
  await assert.rejects(
    startLocalSwarm({
      model: BUNDLED_MODEL,
      spans: [
        [0, 8],
        [6, 12],
      ],
      threads: 1,
    }),
    ({ code, message }: Error & { code: string }) => {
      assert.equal(code, 'CHILD_FAILED')
      assert.match(message, /server 6:12 ended before it was ready \(exit code 2\)[^]*this model has blocks 0:8/)
      return true
    },
  )
})

test('a swarm that is given up while it starts leaves nothing', async () => {
  const abort = new AbortController()
  const starting = startLocalSwarm({
    model: BUNDLED_MODEL,
    spans: [[0, 8]],
    signal: abort.signal,
    onEvent: () => abort.abort(new Error('enough')),
  })
  await assert.rejects(starting, /enough/)
})
