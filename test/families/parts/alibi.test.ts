import assert from 'node:assert/strict'
import { test } from 'node:test'
import { alibiSlopes } from '../../../src/families/parts/alibi.ts'

test('slopes are those of the paper for a power of two of heads, and of the next power for the rest', () => {
  assert.deepEqual(
    [...alibiSlopes(8)],
    [1, 2, 3, 4, 5, 6, 7, 8].map((i) => 2 ** -i),
  )
  assert.deepEqual([...alibiSlopes(1)], [2 ** -8])
  const six = [...alibiSlopes(6)]
  assert.deepEqual(six.slice(0, 4), [...alibiSlopes(4)])
  assert.deepEqual(six.slice(4), [alibiSlopes(8)[0], alibiSlopes(8)[2]])
})
