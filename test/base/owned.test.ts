import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Owned } from '../../src/base/owned.ts'

test('all that is owned is given back once, latest first, at the end of the block unless it was handed over', () => {
  const given: string[] = []
  let heir: Owned
  {
    using owned = new Owned()
    assert.equal(
      owned.adopt('a', (name) => given.push(name)),
      'a',
    )
    owned.use({ [Symbol.dispose]: () => given.push('b') })
    owned.defer(() => given.push('c'))
  }
  assert.deepEqual(given, ['c', 'b', 'a'])
  {
    using owned = new Owned()
    owned.defer(() => given.push('d'))
    heir = owned.move()
  }
  assert.equal(given.length, 3)
  heir.dispose()
  heir.dispose()
  assert.deepEqual(given, ['c', 'b', 'a', 'd'])
})

test('what fails to be given back keeps nothing else from it, and its error is told', () => {
  const given: string[] = []
  const owned = new Owned()
  owned.defer(() => given.push('a'))
  owned.defer(() => {
    throw new Error('earlier')
  })
  owned.defer(() => {
    throw new Error('later')
  })
  assert.throws(() => owned.dispose(), { message: 'later' })
  assert.deepEqual(given, ['a'])
})
