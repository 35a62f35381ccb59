import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PetalsError } from '../../../../src/base/errors.ts'
import { Bans } from '../../../../src/client/remote/seen/bans.ts'

test('a ban belongs to its reason: each grows by itself, and work does not clear a liar', (t) => {
  t.mock.timers.enable({ apis: ['Date'], now: 1e12 })
  const bans = new Bans()
  const secondsFor = (code: string): number => {
    bans.failed('peer', new PetalsError(code, ''))
    let seconds = 0
    for (; bans.current().has('peer'); seconds++) t.mock.timers.tick(1000)
    return seconds
  }
  assert.deepEqual([secondsFor('SESSION_LOST'), secondsFor('SESSION_LOST')], [15, 30])
  assert.deepEqual([secondsFor('CACHE_FULL'), secondsFor('CACHE_FULL')], [5, 10])
  assert.deepEqual([secondsFor('TIMEOUT'), secondsFor('SESSION_ANSWER')], [15, 120])
  bans.worked('peer')
  assert.deepEqual([secondsFor('SESSION_LOST'), secondsFor('CACHE_FULL')], [15, 5])
  assert.equal(secondsFor('TENSOR_NONFINITE'), 240)
})

test('what no other server would cure bans nobody', () => {
  const bans = new Bans()
  for (const code of ['SWARM_TOO_LARGE', 'ADAPTER_UNKNOWN', 'SESSION_TOO_LONG', 'SESSION_OVERFLOW'])
    bans.failed('peer', new PetalsError(code, ''))
  assert.equal(bans.current().size, 0)
})
