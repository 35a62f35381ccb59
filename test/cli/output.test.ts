import assert from 'node:assert/strict'
import { openSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { MAIN, run, start, startProgram, tempFolder } from './kit.ts'

test('output that arrives nowhere is one line and a failure', async (t) => {
  for (const args of [['completion'], ['keygen'], ['tokenize', 'a']]) {
    const full = start(t, args, { stdio: ['ignore', openSync('/dev/full', 'w'), 'pipe'] })
    assert.equal(await full.ended, 1, args[0])
    assert.equal(full.out.stderr, 'petals-node: cannot write the output: the disk is full\n')
  }
  const closed = start(t, ['completion'])
  closed.child.stdout!.destroy()
  assert.equal(await closed.ended, 1)
  assert.equal(closed.out.stderr, 'petals-node: cannot write the output: nobody reads it any more\n')
})

test('keygen leaves no file where the key could not be written', async (t) => {
  const folder = await tempFolder(t)
  const script = `ulimit -f 0; exec "${process.execPath}" "${MAIN}" keygen --out "${join(folder, 'swarm.key')}"`
  const { ended, out } = startProgram(t, '/bin/sh', ['-c', script])
  assert.equal(await ended, 2)
  assert.match(out.stderr, /--out .*swarm\.key: .*EFBIG/)
  assert.deepEqual(await readdir(folder), [])
})

test('with --json every failure is an object on stdout as well', async (t) => {
  for (const args of [
    ['generate', '--json', '--prompt', 'a'],
    ['status', '--json', '--bogus'],
    ['verify', '--json=x'],
  ]) {
    const { code, stdout, stderr } = await run(t, ...args)
    assert.equal(code, 2)
    if (args[1] !== '--json') continue
    const { error } = JSON.parse(stdout) as { error: { code: string; message: string } }
    assert.equal(error.code, 'USAGE')
    assert.ok(stderr.startsWith(`petals-node: ${error.message}\n`), stderr)
  }
})

test('ports and addresses that cannot be are one sentence that names the flag', async (t) => {
  const cases: [string[], number, RegExp][] = [
    [
      ['--listen', '/ip4/127.0.0.1/tcp/70000'],
      2,
      /^petals-node: --listen: .* names port 70000: expected one from 0 to/,
    ],
    [['--listen', '/ip4/192.0.2.1/tcp/0'], 1, /^petals-node: --listen: cannot listen on .*: this machine has no such/],
  ]
  for (const [args, code, message] of cases) {
    const ended = await run(t, 'bootstrap', ...args)
    assert.match(ended.stderr, message)
    assert.equal(ended.stderr.split('\n').filter((line) => line !== '' && !line.startsWith('See: ')).length, 1)
    assert.equal(ended.code, code)
  }
})
