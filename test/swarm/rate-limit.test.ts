import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RateLimit } from '../../src/swarm/rate-limit.ts'

test('a peer may have a second of its rate at once, and then as much as the rate gives', () => {
  const pace = new RateLimit(100)
  for (let i = 0; i < 100; i++) assert.equal(pace.spend('a', 1, 0), 0)
  assert.equal(pace.spend('a', 1, 0), 10)
  assert.equal(pace.spend('b', 1, 0), 0)
  // The one that waited and the one that comes 20 ms later.
  assert.equal(pace.spend('a', 1, 20), 0)
  assert.equal(pace.spend('a', 50, 20), 500)
  assert.equal(pace.spend('a', 100, 10_000), 0)
})

test('without a limit nobody waits', () => {
  assert.equal(new RateLimit(Infinity).spend('a', 1e12, 0), 0)
})
