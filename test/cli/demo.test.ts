import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { goldenContinuation, marked, start, until } from './kit.ts'

const onLinux = { skip: process.platform !== 'linux' }

test("demo --once prints the reference's continuation alone and leaves no process", async (t) => {
  const { ended, out, mark } = start(t, ['demo', '--once'])
  assert.equal(await ended, 0)
  assert.equal(out.stdout, await goldenContinuation())
  assert.match(out.stderr, /bootstrap +ready[^]*server 2:5 +ready[^]*tokens\/s/)
  if (process.platform === 'linux') assert.deepEqual(await marked(mark), [])
})

test('a demo that is told to end while it starts leaves no process', onLinux, async (t) => {
  const { child, ended, mark } = start(t, ['demo'], { stdio: ['pipe', 'pipe', 'pipe'] })
  await until('nodes', async () => (await marked(mark)).length >= 5)
  child.kill('SIGTERM')
  await ended
  assert.deepEqual([child.exitCode, await marked(mark)], [143, []])
})

test('a demo that is killed outright while some nodes serve and others start leaves no process', onLinux, async (t) => {
  const { child, ended, out, mark } = start(t, ['demo'], { stdio: ['pipe', 'pipe', 'pipe'] })
  await until('a server', () => /server \S+ +ready/.test(out.stderr))
  child.kill('SIGKILL')
  await ended
  await until('no process', async () => (await marked(mark)).length === 0)
})

test('the demo continues lines from stdin, and ends at an empty one', onLinux, async (t) => {
  const { child, ended, out, mark } = start(t, ['demo'], { stdio: ['pipe', 'pipe', 'pipe'] })
  await until('the invitation', () => out.stderr.includes('Type a text'))
  const shown = out.stdout
  child.stdin!.write('The state of the Union is\n')
  await until('a second continuation', () => out.stderr.split('tokens/s').length === 3)
  assert.ok(out.stdout.length > shown.length + 50)
  child.stdin!.write('\n')
  assert.equal(await ended, 0)
  assert.deepEqual(await marked(mark), [])
})

test('Ctrl-C in the demo stops the continuation, and only a second one in a row ends it', onLinux, async (t) => {
  const { child, ended, out, mark } = start(t, ['demo'], { stdio: ['pipe', 'pipe', 'pipe'] })
  await until('the invitation', () => out.stderr.includes('Type a text'))
  // A continuation that was over before the signal came is followed by another.
  while (!out.stderr.includes('cut short')) {
    const [shown, told] = [out.stdout.length, out.stderr.length]
    child.stdin!.write('The state of the Union is\n')
    await until('the beginning of a continuation', () => out.stdout.length > shown)
    child.kill('SIGINT')
    await until('its end', () => /tokens\/s|cut short/.test(out.stderr.slice(told)))
  }
  // Signals that come close together count as one.
  await sleep(300)
  child.kill('SIGINT')
  await until('the word of what a second one does', () => out.stderr.endsWith('(Ctrl-C again ends)\n'))
  await sleep(300)
  child.kill('SIGINT')
  assert.equal(await ended, 130)
  assert.deepEqual(await marked(mark), [])
})
