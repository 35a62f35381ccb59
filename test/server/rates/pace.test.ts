import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Pace } from '../../../src/server/rates/pace.ts'

test('what waits is told by the measured rates, and given back however it ends', () => {
  const pace = new Pace(() => 0)
  assert.equal(pace.queueMs, 0)
  const unknown = pace.begin(100, 4)
  assert.equal(pace.queueMs, 0)
  unknown(false)
  pace.reset({ prefill: 1000, decode: 200 })
  const [first, second] = [pace.begin(100, 4), pace.begin(1, 4)]
  assert.equal(pace.queueMs, 400 + 20)
  first(false)
  assert.equal(pace.queueMs, 20)
  second(true)
  assert.equal(pace.queueMs, 0)
})

test('rates follow what steps really take; several prefills at a time do not look slower than one', () => {
  let now = 0
  const pace = new Pace(() => now)
  pace.reset({ prefill: 10_000, decode: 1000 })
  for (let i = 0; i < 400; i++) {
    const done = pace.begin(1, 4)
    now += 40
    done(true)
  }
  assert.ok(Math.abs(pace.rates.decode - 100) < 5, `${pace.rates.decode}`)
  for (let i = 0; i < 600; i++) {
    const both = [pace.begin(50, 4), pace.begin(50, 4)]
    now += 100
    both[0]!(true)
    now += 100
    both[1]!(true)
  }
  assert.ok(Math.abs(pace.rates.prefill - 2000) < 50, `${pace.rates.prefill}`)
  const failed = pace.begin(1, 4)
  now += 1e6
  failed(false)
  assert.ok(pace.rates.decode > 90)
})
