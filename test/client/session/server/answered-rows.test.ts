import assert from 'node:assert/strict'
import { test } from 'node:test'
import { dueRows, wrongCount, wrongPlace } from '../../../../src/client/session/server/answered-rows.ts'
import { fromFloat32 } from '../../../../src/tensor/tensor.ts'

const step = { position: 10, hidden: fromFloat32(new Float32Array(8), [4, 2]) }

test('an answer has the rows that are due, at their place', () => {
  const due = dueRows({ ...step, rows: 1 })
  const output = {
    kind: 'output',
    epoch: 0,
    step: 1,
    position: 13,
    hidden: fromFloat32(new Float32Array(2), [1, 2]),
  } as const
  assert.equal(wrongCount('p', output, due), undefined)
  assert.equal(wrongPlace('p', output, due), undefined)
  assert.match(wrongPlace('p', { ...output, position: 14 }, due)!.message, /from position 14 on where 13 was due/)
  assert.match(wrongCount('p', { kind: 'computed', epoch: 0, step: 1 }, due)!.message, /0 rows for 1/)
})

test('a piece of which no row is wanted says where it ends: a token too many or too few is seen at once', () => {
  const due = dueRows({ ...step, rows: 0 })
  const computed = { kind: 'computed', epoch: 0, step: 1 } as const
  assert.equal(wrongCount('p', computed, due), undefined)
  assert.equal(wrongPlace('p', { ...computed, position: 14 }, due), undefined)
  for (const position of [13, 15]) assert.equal(wrongPlace('p', { ...computed, position }, due)?.code, 'SESSION_ANSWER')
  assert.equal(wrongPlace('p', computed, due), undefined, 'servers of before do not say it')
})
