import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Recordings } from '../../../src/engine/run/recordings.ts'
import type { BoundRun } from '../../../src/runtime/bound-run.ts'
import { RuntimeError } from '../../../src/runtime/errors.ts'

/** Runs of kinds of steps, as text: what was run once, recorded with which number, replayed, or given back. */
function recorder(most: number) {
  const log: string[] = []
  const ort = {
    call: (_: string, session: unknown, graph: unknown) => log.push(`release ${String(session)}/${String(graph)}`),
  }
  const recordings = new Recordings(ort as never, { kind: 'cuda', index: 0 }, most)
  const failures: Error[] = []
  const run = (kind: string, session = 1n) =>
    recordings.run({
      session,
      kind,
      runOnce: () => log.push(kind),
      runAfresh: () => log.push(`${kind} afresh`),
      bind: (graph) =>
        ({
          run: () => {
            const failure = failures.shift()
            if (failure !== undefined) throw failure
            log.push(`${kind}#${graph}`)
          },
          [Symbol.dispose]: () => log.push(`unbind ${kind}#${graph}`),
        }) as unknown as BoundRun,
    })
  return { log, recordings, run, failures }
}

test('a kind is recorded when it comes again, and replayed with the number that it was given', () => {
  const { log, run } = recorder(4)
  for (const kind of ['a', 'b', 'a', 'a', 'b']) run(kind)
  assert.deepEqual(log, ['a', 'b', 'a#1', 'a#1', 'b#2'])
})

test('there are never more than allowed, and they do not push one another out while they are in use', () => {
  const { log, recordings, run } = recorder(2)
  for (let turn = 0; turn < 20; turn++) for (const kind of ['a', 'b', 'c', 'd']) run(kind)
  assert.equal(recordings.size, 2)
  assert.deepEqual(
    log.filter((entry) => entry.includes('release')),
    [],
  )
  // Nobody steps in the form of `a` any more.
  for (let turn = 0; turn < 300; turn++) for (const kind of ['b', 'c']) run(kind)
  assert.deepEqual(
    log.filter((entry) => /release|unbind/.test(entry)),
    ['unbind a#1', 'release 1/1'],
  )
  assert.equal(log.at(-1), 'c#3')
})

test('what was recorded of a session goes with it', () => {
  const { log, recordings, run } = recorder(4)
  for (const session of [1n, 2n]) for (let i = 0; i < 2; i++) run('a', session)
  recordings.forget(1n)
  assert.deepEqual([recordings.size, log.at(-1)], [1, 'release 1/1'])
})

test('once refused, nothing is recorded again; what the device fails in is told', (context) => {
  const warned = context.mock.method(process, 'emitWarning', () => undefined)
  const { log, run, failures } = recorder(4)
  for (let i = 0; i < 2; i++) run('a')
  failures.push(new RuntimeError('RUNTIME_MEMORY', 'no room'))
  assert.throws(() => run('a'), { code: 'RUNTIME_MEMORY' })
  run('b')
  failures.push(new RuntimeError('RUNTIME_KERNEL', 'operation not permitted when stream is capturing'))
  for (let i = 0; i < 3; i++) run('b')
  run('a')
  assert.deepEqual(log, ['a', 'a#1', 'unbind a#1', 'release 1/1', 'b', 'unbind b#2', 'b afresh', 'b', 'b', 'a'])
  assert.equal(warned.mock.callCount(), 1)
})
