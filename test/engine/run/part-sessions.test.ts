import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PartSessions } from '../../../src/engine/run/part-sessions.ts'

function sessions(most: number) {
  const gone: string[] = []
  const made = new PartSessions<string>(most, (session) => gone.push(session))
  return { gone, made, ask: (key: string, owner: string) => made.part(key, owner, () => key.toUpperCase()) }
}

function fail(): never {
  throw new Error('no room')
}

test('who asks for many parts of a span gives up their own, and nobody the whole', () => {
  const { gone, made, ask } = sessions(3)
  made.whole('plain', () => 'WHOLE')
  ask('a', 'mild')
  for (const part of ['b', 'c', 'd', 'e', 'f']) ask(part, 'greedy')
  assert.deepEqual(gone, ['B', 'C', 'D'])
  assert.equal(ask('a', 'mild'), 'A')
  ask('g', 'third')
  assert.deepEqual(gone, ['B', 'C', 'D', 'E'])
  assert.equal(made.size, 4)
  made.clear()
  assert.deepEqual(gone.toSorted(), ['A', 'B', 'C', 'D', 'E', 'F', 'G', 'WHOLE'])
})

test('a part that many use is whose it was, and goes when it was used longest ago', () => {
  const { gone, ask } = sessions(2)
  ask('a', 'one')
  ask('b', 'two')
  ask('a', 'two')
  ask('c', 'three')
  assert.deepEqual(gone, ['B'])
})

test('a session that cannot be made leaves the whole ones and all others but one', () => {
  const { made, ask } = sessions(2)
  for (const part of ['a', 'b']) ask(part, 'one')
  assert.throws(() => made.part('c', 'one', fail), /no room/)
  assert.throws(() => made.whole('plain', fail), /no room/)
  assert.equal(made.size, 1)
})
