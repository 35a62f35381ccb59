import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LinkMeter } from '../../../../src/client/remote/seen/link-meter.ts'
import { Slowdowns } from '../../../../src/client/remote/seen/slowdowns.ts'
import {
  BACKWARD_FORWARDS,
  allowedStepMs,
  attentionShare,
  expectedStepSeconds,
} from '../../../../src/client/remote/steps/step-time.ts'
import { recordOf } from '../../../swarm/kit.ts'

const BOUNDS = { minStepMs: 1000, stepTimeoutMs: 100_000 }
const spanOf = (changes: Parameters<typeof recordOf>[1]) => ({
  server: recordOf('a', { start: 0, end: 10, prefillRate: 1000, decodeRate: 100, queueMs: 500, ...changes }),
  start: 0,
  end: 10,
})

test('a step is given time for compute, queue and bytes over the links, within bounds', () => {
  const links = new LinkMeter(() => 100)
  const size = { tokens: 200, rowBytes: 1000 }
  assert.equal(expectedStepSeconds([spanOf({})], size, links)?.toFixed(3), (2 + 0.5 + 0.032 + 0.1).toFixed(3))
  links.sent('a', 11 << 20, 100_000)
  const slow = expectedStepSeconds([spanOf({})], size, links)!
  assert.ok(Math.abs(slow - (2 + 0.5 + 400_000 / 104_857.6 + 0.1)) < 0.01, `${slow} s`)
  assert.equal(allowedStepMs([spanOf({})], size, links, BOUNDS).toFixed(0), (8000 * slow).toFixed(0))
  assert.equal(allowedStepMs([spanOf({ queueMs: 1e6 })], size, links, BOUNDS), 100_000)
  const quick = spanOf({ queueMs: 0, decodeRate: 1e4 })
  assert.equal(allowedStepMs([quick], { tokens: 1, rowBytes: 4 }, new LinkMeter(() => 1), BOUNDS), 1000)
  assert.equal(allowedStepMs([spanOf({ prefillRate: 0 })], size, links, BOUNDS), 100_000, 'nothing is known')
})

test('a backward pass is given the time of three forward passes, and of what is before it', () => {
  const links = new LinkMeter(() => 100)
  const size = { tokens: 200, rowBytes: 1000, forwards: BACKWARD_FORWARDS, carries: 3, secondsAhead: 4 }
  assert.equal(expectedStepSeconds([spanOf({})], size, links)?.toFixed(3), (6 + 0.5 + 0.048 + 0.1 + 4).toFixed(3))
})

test("a long sequence is given time for its attention, which its server's figures say nothing of", () => {
  const links = new LinkMeter(() => 100)
  const size = { tokens: 200, rowBytes: 1000, attention: attentionShare({ position: 3740, tokens: 200 }, 256) }
  assert.equal(size.attention, 2.5)
  assert.equal(expectedStepSeconds([spanOf({})], size, links)?.toFixed(3), (3.5 * 2 + 0.5 + 0.032 + 0.1).toFixed(3))
})

test('short messages say nothing of a rate', () => {
  const links = new LinkMeter(() => undefined)
  links.sent('a', 1 << 20, 1)
  assert.deepEqual(links.of('a'), { rttMs: undefined, bytesPerSecond: undefined })
})

test('a round trip is looked up again after a while, and at once while it is not known', () => {
  const measured: (number | undefined)[] = [undefined, 7, 9]
  const meter = new LinkMeter(() => measured.shift())
  assert.equal(meter.of('a', 1000).rttMs, undefined)
  assert.equal(meter.of('a', 1001).rttMs, 7)
  assert.equal(meter.of('a', 1100).rttMs, 7)
  assert.equal(meter.of('a', 2000).rttMs, 9)
})

test('a server that promises too much is held to what was seen, and forgiven when it keeps its word', () => {
  const seen = new Slowdowns()
  for (let i = 0; i < 200; i++) seen.took(['liar', 'other'], 1, 0.1)
  assert.ok(seen.factors.get('liar')! > 9)
  for (let i = 0; i < 200; i++) seen.took(['other'], 0.05, 0.1)
  assert.equal(seen.factors.has('other'), false)
  assert.ok(seen.factors.get('liar')! > 9)
})

test('the rate of a link is that of messages one after another; pauses between them do not count', () => {
  const meter = new LinkMeter(() => undefined)
  const MB = 1 << 20
  for (let i = 1; i <= 3; i++) meter.sent('near', MB, 500, 500 * i)
  assert.equal(meter.of('near').bytesPerSecond, (2 * MB) / 1.5)
  for (let i = 1; i <= 3; i++) meter.sent('far', MB, 500, 10_000 * i)
  assert.equal(meter.of('far').bytesPerSecond, undefined)
})
