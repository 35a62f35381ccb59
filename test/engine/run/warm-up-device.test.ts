import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RopeTables } from '../../../src/engine/run/rope-tables.ts'
import type { RowBatch } from '../../../src/engine/run/row-batch.ts'
import type { RunnerSpan } from '../../../src/engine/run/runner-span.ts'
import { warmUpDevice } from '../../../src/engine/run/warm-up-device.ts'

const MEMORY = { kvHeads: 1 } as unknown as RowBatch['memory']

/** What is run of a chunk's tokens in a cache of so many, and what is told meanwhile. */
function warmUp(tokens: number, cacheTokens: number, fail = false) {
  const ran: Pick<RowBatch, 'offset' | 'capacity' | 'tokens' | 'pastLengths' | 'end'>[] = []
  const told: string[] = []
  const ropes = {
    acquire: () => told.push('taken') && 'key',
    get: () => undefined,
    release: () => told.push('given back'),
  } as unknown as RopeTables
  const runner = {
    run: ({ offset, capacity, tokens: count, pastLengths, end, input, output }: RowBatch) => {
      if (fail) throw new Error('no room')
      assert.ok(input.byteLength === count * 8 && output.byteLength === count * 8)
      ran.push({ offset, capacity, tokens: count, pastLengths, end })
    },
    close: () => undefined,
  }
  const span = { hiddenSize: 4, dtype: 'float16', resident: [{}, {}] } as unknown as RunnerSpan
  const work = () =>
    warmUpDevice({ span, memory: MEMORY, runner, ropes }, { tokens, cacheTokens }, (done, total) =>
      told.push(`${done} of ${total}`),
    )
  return { work, ran, told }
}

test('a chunk and a step of the whole span are run in the first row', () => {
  const { work, ran, told } = warmUp(1024, 65_536)
  work()
  const row = { offset: 0, capacity: 2048, end: 2 }
  assert.deepEqual(ran, [
    { ...row, tokens: 1024, pastLengths: [0] },
    { ...row, tokens: 1, pastLengths: [1024] },
  ])
  assert.deepEqual(told, ['taken', '0 of 2', '1 of 2', '2 of 2', 'given back'])
})

test('a small cache is not left', () => {
  const { work, ran } = warmUp(1024, 300)
  work()
  assert.deepEqual(
    ran.map(({ capacity, tokens, pastLengths }) => [capacity, pastLengths[0]! + tokens]),
    [
      [256, 255],
      [256, 256],
    ],
  )
})

test('what fails is told, and nothing is held then', () => {
  const { work, told } = warmUp(16, 1024, true)
  assert.throws(work, /no room/)
  assert.equal(told.at(-1), 'given back')
})
