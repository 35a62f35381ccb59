import assert from 'node:assert/strict'
import { cp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import type { ReadyReport } from '../../src/cli/process/ready-file.ts'
import { BUNDLED_MODEL } from '../../src/cli/values/bundled-model.ts'
import { LOOPBACK, marked, readJson, run, start, tempFolder, until } from './kit.ts'

const SERVE = ['serve', ...LOOPBACK, '--threads', '1', '--attn-cache-tokens', '2048']

/** One sentence on stderr, below the log. */
function sentence(stderr: string): string {
  const lines = stderr
    .trim()
    .split('\n')
    .filter((line) => !line.startsWith('{') && !line.startsWith('See: '))
  assert.equal(lines.length, 1, stderr)
  return lines[0]!
}

test('a port in use, a bad key and a bad identity are one sentence each, and nothing is left behind', async (t) => {
  const folder = await tempFolder(t)
  const file = join(folder, 'ready.json')
  const first = start(t, ['bootstrap', ...LOOPBACK])
  const address = await until('the address', () => /^\S+\/p2p\/\w+\n/.exec(first.out.stdout)?.[0].trim())
  const bad = join(folder, 'bad.key')
  await writeFile(bad, 'no key at all\n')
  const cases: [string[], RegExp][] = [
    [['--listen', address.split('/p2p/')[0]!], /the port is in use; choose another, or 0 for any free one/],
    [
      ['--swarm-key', bad],
      /the swarm key file .*bad\.key does not begin with \/key\/swarm\/psk\/1\.0\.0\/: .*petals-node keygen/,
    ],
    [['--swarm-key', join(folder, 'none.key')], /--swarm-key .*none\.key: .*no such file/],
    [['--identity', bad], /bad\.key/],
    [['--identity', folder], /cannot read the identity file/],
    [['--ready-file', join(folder, 'none', 'ready.json')], /--ready-file .*none\/ready\.json: .*no such file/],
  ]
  const left = await readdir(folder)
  for (const [args, message] of cases) {
    const base = args[0] === '--listen' ? ['serve', '--threads', '1', '--attn-cache-tokens', '2048'] : SERVE
    const { ended, out, mark } = start(t, [
      ...base,
      '--log-level',
      'error',
      ...(args[0] === '--ready-file' ? [] : ['--ready-file', file]),
      ...args,
    ])
    assert.ok([1, 2].includes((await ended)!), args.join(' '))
    assert.match(sentence(out.stderr), message)
    assert.deepEqual(await readdir(folder), left, args.join(' '))
    if (process.platform === 'linux') assert.deepEqual(await marked(mark), [])
  }
})

test("a value is told by its place in the environment or a file; other commands' options are ignored", async (t) => {
  const config = join(await tempFolder(t), 'my.yaml')
  await writeFile(config, 'topP: 0.5\nserve:\n  blocks: 6:12\n')
  const cases: [Record<string, string>, string[], RegExp][] = [
    [
      { PETALS_NUM_BLOCKS: 'abc' },
      ['serve'],
      /^petals-node: PETALS_NUM_BLOCKS=abc: expected a whole number of at least 1\n/,
    ],
    [
      { PETALS_NUM_BLOKS: '3' },
      ['status'],
      /^petals-node: PETALS_NUM_BLOKS: no command has such an option: did you mean PETALS_NUM_BLOCKS\?\n/,
    ],
    [{ PETALS_NUM_BLOCKS: 'abc' }, ['status'], /^petals-node: which swarm\?/],
    [{ PETALS_BLOCKS: '3-6' }, ['serve'], /^petals-node: PETALS_BLOCKS=3-6: expected START:END/],
    [{ PETALS_BOOTSTRAP: 'nowhere' }, ['status'], /^petals-node: PETALS_BOOTSTRAP: /],
    [
      { PETALS_CONFIG: config },
      ['serve'],
      /^petals-node: \S*my\.yaml, line 3, serve, blocks: 6:12: this model has blocks 0:8/,
    ],
  ]
  for (const [env, args, message] of cases) {
    const { ended, out } = start(t, args, { env })
    assert.equal(await ended, 2, out.stderr)
    assert.match(out.stderr, message)
  }
})

test('a server that is told to stop while it loads takes its record back, and ends', async (t) => {
  const first = start(t, ['bootstrap', ...LOOPBACK])
  const address = await until('the address', () => /^\S+\/p2p\/\w+\n/.exec(first.out.stdout)?.[0].trim())
  const { child, ended, out } = start(t, [...SERVE, '--bootstrap', address])
  await until('loading', () => out.stderr.includes('"loading '))
  child.kill('SIGTERM')
  const code = await ended
  // It may have been quicker than the signal.
  assert.ok(code === 143 || code === 0, `${code}: ${out.stderr}`)
  const { stdout } = await run(t, 'status', '--json', '--bootstrap', address)
  assert.deepEqual(JSON.parse(stdout), { models: [] })
})

test('keygen makes a key that only its owner can read; servers and clients with it form their own swarm', async (t) => {
  const folder = await tempFolder(t)
  const key = join(folder, 'swarm.key')
  assert.deepEqual(await run(t, 'keygen', '--out', key), { code: 0, stdout: '', stderr: '' })
  assert.equal((await stat(key)).mode & 0o777, 0o600)
  assert.match(await readFile(key, 'utf8'), /^\/key\/swarm\/psk\/1\.0\.0\/\n\/base16\/\n[0-9a-f]{64}\n$/)
  assert.match((await run(t, 'keygen', '--out', key)).stderr, /--out .*swarm\.key: .*exists/)
  assert.notEqual((await run(t, 'keygen')).stdout, await readFile(key, 'utf8'))

  const file = join(folder, 'ready.json')
  start(t, [...SERVE, '--swarm-key', key, '--ready-file', file])
  const { multiaddrs } = await until('the ready file', () => readJson<ReadyReport>(file))
  const generated = await run(
    t,
    'generate',
    '--prompt',
    'We',
    '--max-new-tokens',
    '2',
    '--threads',
    '1',
    '--json',
    '--swarm-key',
    key,
    '--bootstrap',
    multiaddrs[0]!,
  )
  assert.equal(generated.code, 0, generated.stderr)
  const { results } = JSON.parse(generated.stdout) as { results: { tokenIds: number[]; finishReason: string }[] }
  assert.deepEqual(
    results.map(({ tokenIds, finishReason }) => [tokenIds.length, finishReason]),
    [[2, 'length']],
  )
  const stranger = await run(t, 'status', '--bootstrap', multiaddrs[0]!)
  assert.notEqual(stranger.code, 0)
})

test(
  'a supervised server that is killed serves again as the same peer, and ends with its supervisor',
  { skip: process.platform !== 'linux' },
  async (t) => {
    const folder = await tempFolder(t)
    const file = join(folder, 'ready.json')
    assert.match((await run(t, ...SERVE, '--supervise')).stderr, /--supervise: give --identity FILE too/)
    const { child, out, ended, mark } = start(t, [
      ...SERVE,
      '--supervise',
      '--identity',
      join(folder, 'id.key'),
      '--ready-file',
      file,
    ])
    const serverPid = () => [...out.stderr.matchAll(/"serverPid":(\d+)/g)].map(([, pid]) => Number(pid))
    const { peerId } = await until('the ready file', () => readJson<ReadyReport>(file), 40_000)
    process.kill(serverPid()[0]!, 'SIGKILL')
    await until('a second server', () => serverPid().length === 2 || undefined)
    const again = await until(
      'the ready file',
      async () => {
        if (!out.stderr.includes('"serving blocks', out.stderr.lastIndexOf('serverPid'))) return undefined
        return readJson<ReadyReport>(file)
      },
      40_000,
    )
    assert.equal(again.peerId, peerId)
    child.kill('SIGTERM')
    assert.equal(await ended, 0)
    assert.deepEqual(await marked(mark), [])
    assert.deepEqual(await readdir(folder), ['id.key'])
  },
)

test('a number of blocks is enough: the server takes those that fewest hold', async (t) => {
  const folder = await tempFolder(t)
  const [a, b] = [join(folder, 'a.json'), join(folder, 'b.json')]
  start(t, [...SERVE, '--model', BUNDLED_MODEL, '--blocks', '0:4', '--ready-file', a])
  const first = await until('the first', () => readJson<ReadyReport>(a))
  start(t, [...SERVE, '--num-blocks', '3', '--bootstrap', first.multiaddrs[0]!, '--ready-file', b])
  const second = await until('the second', () => readJson<ReadyReport>(b), 40_000)
  assert.match(second.blocks!, /^(4:7|5:8)$/)
})

test(
  'a model folder that vanishes while it is loaded is one sentence',
  { skip: process.platform === 'win32' },
  async (t) => {
    const folder = await tempFolder(t)
    const model = join(folder, 'model')
    await cp(BUNDLED_MODEL, model, { recursive: true })
    const { child, ended, out } = start(t, [...SERVE, '--model', model])
    await until('loading', () => out.stderr.includes('"loading '))
    child.kill('SIGSTOP')
    await rm(model, { recursive: true })
    child.kill('SIGCONT')
    assert.equal(await ended, 1)
    assert.match(sentence(out.stderr), /model\/model\.safetensors cannot be opened/)
  },
)
