import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LruMap } from '../../../src/engine/run/lru-map.ts'

test('what was used longest ago is disposed of, once, when there is no room', () => {
  const gone: string[] = []
  const map = new LruMap<string, string>(2, (value) => gone.push(value))
  let made = 0
  const get = (key: string) =>
    map.get(key, () => {
      made++
      return key.toUpperCase()
    })
  assert.deepEqual([get('a'), get('b'), get('a'), get('c')], ['A', 'B', 'A', 'C'])
  assert.deepEqual([gone, made, map.size], [['B'], 3, 2])
  map.delete('a')
  map.delete('a')
  map.clear()
  assert.deepEqual([gone, map.size], [['B', 'A', 'C'], 0])
})

test('a value that cannot be made leaves the others alone', () => {
  const map = new LruMap<string, number>(1, () => assert.fail('nothing is to go'))
  map.get('a', () => 1)
  assert.throws(
    () =>
      map.get('b', () => {
        throw new Error('no room')
      }),
    /no room/,
  )
  assert.equal(
    map.get('a', () => assert.fail()),
    1,
  )
})
