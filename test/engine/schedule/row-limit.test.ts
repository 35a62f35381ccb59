import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RowLimit } from '../../../src/engine/schedule/row-limit.ts'
import { RunTime } from '../../../src/engine/schedule/run-time.ts'

/** Runs of 5 to 36 rows were seen, of so many milliseconds and so many more for each row. */
function learnt(runMs: number, rowMs: number): RowLimit {
  const runTime = new RunTime()
  for (let i = 0; i < 100; i++) runTime.ran(5 + (i % 32), runMs + rowMs * (5 + (i % 32)))
  return new RowLimit(runTime)
}

function activate(limit: RowLimit, sessions: Readonly<Record<string, number>>, now: number): void {
  let sequence = 0
  for (const [client, count] of Object.entries(sessions))
    for (let i = 0; i < count; i++) limit.noteActive(++sequence, client, now)
}

test('what one client has in excess makes a run no more than a little longer', () => {
  const limit = learnt(3, 1)
  activate(limit, { greedy: 32, a: 1, b: 1, c: 1, d: 1 }, 0)
  const { rows, ownRows } = limit.excess(0)!
  assert.ok(rows >= 5 && 3 + rows <= 1.1 * (3 + 5), `${rows} rows`)
  assert.ok(ownRows >= 1 && 3 + ownRows <= 1.1 * (3 + 1), `${ownRows} rows of its own`)
})

test('where rows cost nothing, nobody is alone with many, or all are alike, there is no bound', () => {
  const free = learnt(10, 0)
  activate(free, { greedy: 32, a: 1 }, 0)
  assert.equal(free.excess(0), undefined)
  const alone = learnt(3, 1)
  activate(alone, { greedy: 32 }, 0)
  assert.equal(alone.excess(0), undefined)
  const alike = learnt(3, 1)
  activate(alike, { a: 16, b: 16 }, 0)
  assert.equal(alike.excess(0), undefined)
})

test('who has stopped, or was closed, bounds nobody', () => {
  const limit = learnt(3, 1)
  limit.noteActive(100, 'gone', 0)
  limit.noteActive(101, 'closed', 900)
  for (let sequence = 1; sequence <= 8; sequence++) limit.noteActive(sequence, 'greedy', 900)
  assert.ok(limit.excess(900)!.rows < 8)
  limit.forget(101)
  assert.equal(limit.excess(900), undefined)
})
