import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { test } from 'node:test'
import { aborted, orAborted } from '../../src/base/abort.ts'

const REASON = new Error('enough')

test('work that ends before the signal gives its own outcome, and leaves nothing on the signal', async () => {
  const { signal } = new AbortController()
  assert.equal(await orAborted(Promise.resolve(1), signal), 1)
  assert.equal(await orAborted(Promise.resolve(2), undefined), 2)
  await assert.rejects(orAborted(Promise.reject(new Error('its own')), signal), /its own/)
  assert.deepEqual(getEventListeners(signal, 'abort'), [])
})

test('an aborted signal ends the wait with its reason; what the work still does disturbs nobody', async () => {
  for (const early of [true, false]) {
    const controller = new AbortController()
    const work = Promise.withResolvers<never>()
    if (early) controller.abort(REASON)
    const waiting = orAborted(work.promise, controller.signal)
    controller.abort(REASON)
    await assert.rejects(waiting, REASON)
    // A rejection that nobody hears of would end the test's process.
    work.reject(new Error('too late'))
  }
})

test('waits for a signal, or not at all for one that is aborted', async () => {
  const controller = new AbortController()
  const waiting = aborted(controller.signal)
  controller.abort()
  await waiting
  await aborted(controller.signal)
})
