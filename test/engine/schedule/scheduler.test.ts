import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RunReport } from '../../../src/engine/thread/messages.ts'
import { type Batch, Scheduler } from '../../../src/engine/schedule/scheduler.ts'
import { RuntimeError } from '../../../src/runtime/errors.ts'

const HIDDEN_BYTES = 4

/** A runner that answers with its input plus one, except for batches that hold the row at `failing`. */
function faulty(failing: { offset: number }, ran: Batch[]): (batch: Batch) => void {
  return (batch) => {
    ran.push(batch)
    const rows = batch.pastLengths.map((_, i) => batch.offset + i * batch.capacity)
    if (rows.includes(failing.offset)) throw new RuntimeError('RUNTIME_MEMORY', 'onnxruntime Run: out of memory')
    batch.output.set(batch.input.map((byte) => byte + 1))
  }
}

function newScheduler(failing: { offset: number }, ran: Batch[] = []): Scheduler {
  return new Scheduler(faulty(failing, ran), { maxBatchRows: 8, prefillChunkTokens: 2, hiddenBytes: HIDDEN_BYTES })
}

function addStep(scheduler: Scheduler, rowId: number, position: number, tokens: number): void {
  const hidden = new Uint8Array(tokens * HIDDEN_BYTES).fill(10 * rowId)
  scheduler.add({
    type: 'step',
    taskId: rowId,
    rowId,
    start: 0,
    end: 1,
    position,
    tokens,
    priority: 'inference',
    hidden,
  })
}

function outcomes(reports: readonly RunReport[]): Record<number, string | number> {
  return Object.fromEntries(
    reports
      .flatMap(({ results }) => results)
      .map((result) => [result.taskId, 'output' in result ? result.output[0]! : result.code]),
  )
}

test('a failed run fails its own requests with a typed error and no others', () => {
  const scheduler = newScheduler({ offset: 0 })
  // Rows 1 and 2 are neighbours and make one batch; row 3 is of another capacity, row 4 prefills.
  scheduler.open(1, { offset: 0, capacity: 128 }, 'rope')
  scheduler.open(2, { offset: 128, capacity: 128 }, 'rope')
  scheduler.open(3, { offset: 256, capacity: 256 }, 'rope')
  scheduler.open(4, { offset: 512, capacity: 128 }, 'rope')
  for (const rowId of [1, 2, 3]) addStep(scheduler, rowId, 0, 1)
  addStep(scheduler, 4, 0, 2)
  const reports = [...scheduler.turn()]
  assert.deepEqual(outcomes(reports), { 1: 'RUNTIME_MEMORY', 2: 'RUNTIME_MEMORY', 3: 31, 4: 41 })
  assert.equal(scheduler.hasWork, false)
})

test('rows of a failed batch go on once the device works again', () => {
  const failing = { offset: 0 }
  const scheduler = newScheduler(failing)
  scheduler.open(1, { offset: 0, capacity: 128 }, 'rope')
  scheduler.open(2, { offset: 128, capacity: 128 }, 'rope')
  for (const rowId of [1, 2]) addStep(scheduler, rowId, 0, 1)
  assert.deepEqual(outcomes([...scheduler.turn()]), { 1: 'RUNTIME_MEMORY', 2: 'RUNTIME_MEMORY' })
  failing.offset = -1
  for (const rowId of [1, 2]) addStep(scheduler, rowId, 0, 1)
  assert.deepEqual(outcomes([...scheduler.turn()]), { 1: 11, 2: 21 })
})

test('a prefill that fails in its second chunk ends there and leaves nothing queued', () => {
  const failing = { offset: -1 }
  const ran: Batch[] = []
  const scheduler = newScheduler(failing, ran)
  scheduler.open(1, { offset: 0, capacity: 128 }, 'rope')
  addStep(scheduler, 1, 0, 5)
  assert.deepEqual(outcomes([...scheduler.turn()]), {})
  failing.offset = 0
  assert.deepEqual(outcomes([...scheduler.turn()]), { 1: 'RUNTIME_MEMORY' })
  assert.equal(scheduler.hasWork, false)
  assert.deepEqual(
    ran.map(({ pastLengths }) => pastLengths[0]),
    [0, 2],
  )
})
