import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Batch, Scheduler } from '../../../src/engine/schedule/scheduler.ts'

const CAPACITY = 128

/** A scheduler for recorded steps over `cacheRows` rows, the row indices of `open` being open with so many tokens. */
function stepped({
  open,
  steps,
  cacheRows = 8,
}: {
  open: Record<number, number>
  steps: readonly number[]
  cacheRows?: number
}): Batch[] {
  const ran: Batch[] = []
  const run = (batch: Batch): void => {
    ran.push(batch)
    batch.output.set(batch.input)
  }
  const scheduler = new Scheduler(run, {
    maxBatchRows: 8,
    prefillChunkTokens: 16,
    hiddenBytes: 1,
    windowCacheTokens: cacheRows * CAPACITY,
  })
  for (const [index, length] of Object.entries(open)) {
    scheduler.open(Number(index), { offset: Number(index) * CAPACITY, capacity: CAPACITY }, 'rope')
    scheduler.setLength(Number(index), length)
  }
  for (const index of steps) {
    const hidden = Uint8Array.of(10 + index)
    scheduler.add({
      type: 'step',
      taskId: index,
      rowId: index,
      start: 0,
      end: 1,
      position: open[index]!,
      tokens: 1,
      priority: 'inference',
      hidden,
    })
  }
  for (const { results } of scheduler.turn()) {
    for (const result of results)
      assert.ok('output' in result && result.output[0] === 10 + result.taskId, `row ${result.taskId}`)
  }
  return ran
}

test('recorded steps go through aligned windows, whose other rows are written where nothing counts yet', () => {
  const [batch, ...others] = stepped({ open: { 1: 5, 2: 7, 3: 9 }, steps: [1, 2] })
  assert.deepEqual([batch!.offset, batch!.pastLengths, [...batch!.input]], [0, [0, 5, 7, 9], [0, 11, 12, 0]])
  assert.equal(others.length, 0)
})

test('a full row is never bridged, nor one that another run of the turn may fill', () => {
  for (const length of [CAPACITY, CAPACITY - 1]) {
    const [batch] = stepped({ open: { 1: 5, 2: 7, 3: length }, steps: [1, 2] })
    assert.deepEqual([batch!.offset, batch!.pastLengths], [CAPACITY, [5, 7]])
  }
})

test('rows far apart are one run where an idle row costs nothing', () => {
  const ran = stepped({ open: { 0: 3, 7: 4 }, steps: [0, 7] })
  assert.deepEqual(
    ran.map(({ pastLengths }) => pastLengths),
    [[3, 0, 0, 0, 0, 0, 0, 4]],
  )
})
