import assert from 'node:assert/strict'
import { test } from 'node:test'
import { dimSize, sizedShape } from '../../src/graph/dim-size.ts'

test('a named size is a product of sums of what is known', () => {
  const sizes = { rows: 2, tokens: 5, 'odd+name': 9 }
  assert.deepEqual(
    [7, 'tokens', '4*tokens', 'rows*tokens*3', 'tokens+1', 'odd+name', '2*tokens+1'].map((dim) => dimSize(dim, sizes)),
    [7, 5, 20, 30, 6, 9, 12],
  )
  assert.deepEqual(
    ['unknown', 'rows*unknown', ''].map((dim) => dimSize(dim, sizes)),
    [undefined, undefined, undefined],
  )
  assert.deepEqual(sizedShape(['rows', 3, 'tokens'], sizes), [2, 3, 5])
  assert.throws(() => sizedShape(['rows', 'chosen'], sizes), /"chosen"/)
})
