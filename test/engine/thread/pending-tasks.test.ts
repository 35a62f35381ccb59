import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PendingTasks } from '../../../src/engine/thread/pending-tasks.ts'

test('a task that was abandoned is pending until the thread has computed or dropped it', async () => {
  const pending = new PendingTasks()
  const [computed, dropped, other] = [pending.add(1), pending.add(1), pending.add(2)]
  pending.cancel(1)
  for (const { output } of [computed, dropped]) await assert.rejects(output, { code: 'SESSION_CLOSED' })
  assert.equal(pending.size, 3)
  pending.settle({ taskId: computed.taskId, output: new Uint8Array(1) })
  pending.drop(dropped.taskId)
  assert.equal(pending.size, 1)
  pending.settle({ taskId: other.taskId, output: Uint8Array.of(7) })
  assert.deepEqual([await other.output, pending.size], [Uint8Array.of(7), 0])
})
