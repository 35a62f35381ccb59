import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LateTimer } from '../../../../src/client/session/steps/late-timer.ts'

test('what is in time is not late, what comes after it has its own time, and one timer does for all', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  let nowMs = 0
  t.mock.method(performance, 'now', () => nowMs)
  const pass = (ms: number) => {
    nowMs += ms
    t.mock.timers.tick(ms)
  }
  const late: string[] = []
  const timer = new LateTimer()
  for (let i = 0; i < 90; i++) {
    timer.set(100, () => late.push(`step ${i}`))
    pass(2)
    timer.clear()
  }
  timer.set(100, () => late.push('slow'))
  pass(60)
  assert.equal(late.length, 0)
  pass(39)
  assert.equal(late.length, 0)
  pass(1)
  assert.equal(late.join(), 'slow')
  timer.set(100, () => late.push('closed'))
  timer.close()
  pass(1000)
  assert.equal(late.join(), 'slow')
})
