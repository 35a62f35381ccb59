import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { runTogether } from '../../../src/client/generation/together.ts'

test('results are in order, with no more jobs at once than allowed', async () => {
  let running = 0,
    most = 0
  const jobs = [3, 1, 2, 5, 4].map((turns, i) => async () => {
    most = Math.max(most, ++running)
    for (let t = 0; t < turns; t++) await turn()
    running--
    return i
  })
  assert.deepEqual(await runTogether(jobs, 2), [0, 1, 2, 3, 4])
  assert.equal(most, 2)
  assert.deepEqual(await runTogether([], 2), [])
})

test('the first failure aborts the others, which are waited for, and is thrown', async () => {
  const over: string[] = []
  const waiting = async (signal: AbortSignal): Promise<void> => {
    await new Promise((resolve) => {
      signal.addEventListener('abort', resolve, { once: true })
    })
    await turn()
    over.push('waiting')
    throw new Error('second')
  }
  await assert.rejects(runTogether([waiting, () => Promise.reject(new Error('first'))], 2), { message: 'first' })
  assert.deepEqual(over, ['waiting'])
})

test("a caller's signal reaches every job, also those that begin later", async () => {
  const controller = new AbortController()
  const job = async (signal: AbortSignal): Promise<boolean> => {
    controller.abort()
    return signal.aborted
  }
  assert.deepEqual(await runTogether([job, job, job], 1, controller.signal), [true, true, true])
})
