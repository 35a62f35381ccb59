import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ExampleOrder } from '../../../../src/client/training/data/order.ts'

const LENGTHS = Array.from({ length: 103 }, (_, i) => (i * 37) % 50)
const OPTIONS = { batchSize: 4, shuffle: true, bucket: false, seed: 1 }

function epochs(options: Partial<typeof OPTIONS>, from = 0, count = 3 * LENGTHS.length): Promise<number[]> {
  return new ExampleOrder(LENGTHS, { ...OPTIONS, ...options }).take(from, count)
}

const sorted = (order: readonly number[]): number[] => order.toSorted((a, b) => a - b)

test('each epoch has each example once, in an order of its own', async () => {
  for (const bucket of [false, true]) {
    const all = await epochs({ bucket })
    const parts = [0, 1, 2].map((epoch) => all.slice(epoch * LENGTHS.length, (epoch + 1) * LENGTHS.length))
    for (const part of parts) assert.deepEqual(sorted(part), [...LENGTHS.keys()])
    assert.notDeepEqual(parts[0], parts[1])
    assert.notDeepEqual(parts[0], sorted(parts[0]!))
  }
})

test('an order goes on exactly from any place, and follows from the seed', async () => {
  for (const bucket of [false, true]) {
    const all = await epochs({ bucket })
    for (const place of [0, 1, 102, 103, 150, 250])
      assert.deepEqual(await epochs({ bucket }, place, 20), all.slice(place, place + 20))
    assert.notDeepEqual(await epochs({ bucket, seed: 2 }), all)
  }
})

test('without shuffling examples come in their order, again and again', async () => {
  const row = [...LENGTHS.keys()]
  assert.deepEqual(await epochs({ shuffle: false }), [...row, ...row, ...row])
})

/** Tokens of padding in batches of four. */
function padding(order: readonly number[]): number {
  let sum = 0
  for (let at = 0; at < order.length; at += 4) {
    const lengths = order.slice(at, at + 4).map((i) => LENGTHS[i]!)
    for (const length of lengths) sum += Math.max(...lengths) - length
  }
  return sum
}

test('buckets put similar lengths into one batch, in every epoch', async () => {
  const [plain, bucketed] = [padding(await epochs({ bucket: false })), padding(await epochs({ bucket: true }))]
  assert.ok(bucketed < plain / 3, `${bucketed} tokens of padding with buckets, ${plain} without`)
})
