import assert from 'node:assert/strict'
import { test } from 'node:test'
import { OutputBudget } from '../../../src/server/session/output-budget.ts'
import { OutputLog } from '../../../src/server/session/output-log.ts'
import { fromFloat32 } from '../../../src/tensor/tensor.ts'

/** 16 bytes of output for one position. */
const output = () => fromFloat32(new Float32Array(4), [1, 4])

test('all logs together stay within the budget: the largest gives way', () => {
  const budget = new OutputBudget(100)
  const large = new OutputLog(budget),
    small = new OutputLog(budget)
  for (let position = 0; position < 5; position++) large.append(position, output())
  small.append(0, output())
  assert.equal(budget.bytes, 96)
  small.append(1, output())
  assert.equal(budget.bytes, 96)
  assert.equal(large.range(0, 1), undefined)
  assert.ok(large.range(1, 5))
  assert.ok(small.range(0, 2))
})

test('what is cut back, acknowledged or closed is given back', () => {
  const budget = new OutputBudget(1000)
  const log = new OutputLog(budget),
    other = new OutputLog(budget)
  for (let position = 0; position < 4; position++) log.append(position, output())
  log.truncate(3)
  log.acknowledge(1)
  assert.equal(budget.bytes, 32)
  other.copyFrom(log, 2)
  assert.equal(budget.bytes, 48)
  log.clear()
  assert.equal(budget.bytes, 16)
  other.clear()
  assert.equal(budget.bytes, 0)
})

test('the newest output of each log stays, even over the budget', () => {
  const budget = new OutputBudget(10)
  const log = new OutputLog(budget)
  log.append(0, output())
  log.append(1, output())
  assert.ok(log.range(1, 2))
})

test('one client keeps no more than its part, and gives way first where all together are too much', () => {
  const budget = new OutputBudget(160, 96)
  const log = (owner: string) => new OutputLog(budget, owner)
  const [a, b, c] = [log('a'), log('a'), log('other')]
  for (let position = 0; position < 5; position++) a.append(position, output())
  for (let position = 0; position < 4; position++) b.append(position, output())
  assert.equal(a.bytes + b.bytes, 96)
  for (let position = 0; position < 5; position++) c.append(position, output())
  assert.equal(budget.bytes, 160)
  assert.equal(c.bytes, 80)
})
