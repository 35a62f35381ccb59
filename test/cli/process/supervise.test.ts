import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { type TestContext, test } from 'node:test'
import type { SuperviseEvent } from '../../../src/cli/process/supervise.ts'

const SUPERVISOR = new URL('supervise-child.ts', import.meta.url).pathname

type Told = SuperviseEvent | { type: 'listening' }

/** A supervisor of a Node program given as its text, and the events that it tells of. */
function supervise(
  t: TestContext,
  script: string,
): { supervisor: ChildProcess; next: () => Promise<Told>; exitCode: Promise<number> } {
  const supervisor = spawn(process.execPath, [SUPERVISOR, process.execPath, '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.after(() => supervisor.kill('SIGKILL'))
  const lines = createInterface({ input: supervisor.stdout! })[Symbol.asyncIterator]()
  return {
    supervisor,
    next: async () => JSON.parse((await lines.next()).value as string) as Told,
    exitCode: once(supervisor, 'exit').then(([code]) => code as number),
  }
}

async function expectType<T extends Told['type']>(next: Promise<Told>, type: T): Promise<Extract<Told, { type: T }>> {
  const event = await next
  assert.equal(event.type, type, JSON.stringify(event))
  return event as Extract<Told, { type: T }>
}

/** Lives until it is told to stop, or its supervisor is gone; says on the supervisor's output when it listens. */
const DAEMON = `
  setInterval(() => {}, 1000)
  process.on('SIGTERM', () => process.exit(0))
  process.on('disconnect', () => process.exit(1))
  console.log(JSON.stringify({ type: 'listening' }))`

for (const code of [0, 2]) {
  test(`a program that ends with ${code} is not started again`, async (t) => {
    const { next, exitCode } = supervise(t, `process.exit(${code})`)
    await expectType(next(), 'started')
    assert.equal(await exitCode, code)
  })
}

test('a program that crashes is started again, each time after a longer pause', async (t) => {
  const { supervisor, next, exitCode } = supervise(t, 'process.exit(75)')
  for (const restartInMs of [20, 40, 80, 80]) {
    await expectType(next(), 'started')
    assert.deepEqual(await expectType(next(), 'crashed'), { type: 'crashed', exitCode: 75, signal: null, restartInMs })
  }
  supervisor.kill('SIGTERM')
  assert.ok([75, 143].includes(await exitCode))
})

test('a killed program is started again, and a signal to the supervisor ends both in order', async (t) => {
  const { supervisor, next, exitCode } = supervise(t, DAEMON)
  const first = await expectType(next(), 'started')
  await expectType(next(), 'listening')
  process.kill(first.pid, 'SIGKILL')
  assert.equal((await expectType(next(), 'crashed')).signal, 'SIGKILL')
  const second = await expectType(next(), 'started')
  assert.notEqual(second.pid, first.pid)
  await expectType(next(), 'listening')
  supervisor.kill('SIGTERM')
  assert.equal(await exitCode, 0)
  assert.throws(() => process.kill(second.pid, 0), { code: 'ESRCH' })
})

test('a program does not outlive its supervisor', async (t) => {
  const { supervisor, next } = supervise(t, DAEMON)
  await expectType(next(), 'started')
  await expectType(next(), 'listening')
  // Both write to one pipe: it closes when the last of them is gone, also where nobody collects dead orphans.
  const closed = once(supervisor, 'close')
  supervisor.kill('SIGKILL')
  await closed
})
