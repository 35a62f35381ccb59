import assert from 'node:assert/strict'
import { test } from 'node:test'
import { textBatch, wholeBatch } from '../../../../src/client/training/data/batch.ts'
import type { Example } from '../../../../src/client/training/data/dataset.ts'

function example(ids: number[], weights: number[], label?: number): Example {
  return { ids: Int32Array.from(ids), weights: Float32Array.from(weights), label }
}

test('sequences of mixed length are padded on the right, and only what counts has a target', () => {
  const batch = textBatch([example([5, 6, 7, 8], [0, 0, 1, 0.5]), example([9, 4], [0, 1])], 0)
  assert.deepEqual([...batch.ids], [5, 6, 7, 9, 0, 0])
  assert.deepEqual([batch.size, batch.tokens, batch.lengths], [2, 3, [3, 1]])
  assert.deepEqual(batch.rows, [1, 2, 3])
  assert.deepEqual([...batch.targets], [7, 8, 4])
  assert.deepEqual([...batch.weights], [1, 0.5, 1])
  assert.equal(batch.weight, 2.5)
})

test('sequences to be classified stay whole', () => {
  const batch = wholeBatch([example([5, 6], [0, 0], 1), example([9], [0], 0)], 3)
  assert.deepEqual([...batch.ids], [5, 6, 9, 3])
  assert.deepEqual(
    [batch.lengths, batch.labels],
    [
      [2, 1],
      [1, 0],
    ],
  )
})
