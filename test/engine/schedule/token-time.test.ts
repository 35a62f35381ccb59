import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TokenTime } from '../../../src/engine/schedule/token-time.ts'

test('time is worth the tokens that runs compute in it, the latest runs more than old ones', () => {
  const time = new TokenTime()
  assert.equal(time.tokensIn(50), 0)
  time.ran(4, 8)
  assert.equal(time.tokensIn(50), 25)
  for (let i = 0; i < 500; i++) time.ran(10, 5)
  assert.ok(Math.abs(time.tokensIn(50) - 100) < 1)
})
