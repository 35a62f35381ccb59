import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BoundedDatastore } from '../../../src/swarm/guards/bounded-datastore.ts'

type Key = Parameters<BoundedDatastore['put']>[0]

/** The only parts of a datastore key that are used. */
const keyOf = (name: string) => ({ toString: () => name }) as unknown as Key

test('what others store with the DHT is bounded, oldest first; other entries are not touched', async () => {
  const store = new BoundedDatastore(4000)
  await store.put(keyOf('/peers/me'), new Uint8Array(5000))
  for (let i = 0; i < 20; i += 1) await store.put(keyOf(`/dht/record/${i}`), new Uint8Array(1000))
  assert.ok(store.numDhtBytes <= 4000)
  assert.equal(await store.has(keyOf('/dht/record/0')), false)
  assert.equal(await store.has(keyOf('/dht/record/19')), true)
  assert.equal(await store.has(keyOf('/peers/me')), true)
})

test('an entry that is replaced or deleted is counted once or not at all', async () => {
  const store = new BoundedDatastore(4000)
  for (let i = 0; i < 20; i += 1) await store.put(keyOf('/dht/record/same'), new Uint8Array(1000))
  assert.ok(store.numDhtBytes < 1400)
  await store.delete(keyOf('/dht/record/same'))
  assert.equal(store.numDhtBytes, 0)
})

test('an entry keeps no more memory than its own', async () => {
  const store = new BoundedDatastore()
  const packet = new Uint8Array(65_536).fill(7)
  for (const name of ['/peers/other', '/dht/record/other']) {
    await store.put(keyOf(name), packet.subarray(100, 300))
    const kept = await store.get(keyOf(name))
    assert.deepEqual([kept.byteLength, kept.buffer.byteLength, kept[199]], [200, 200, 7])
    packet.fill(8, 100, 300)
    assert.equal((await store.get(keyOf(name)))[0], 7)
    packet.fill(7)
  }
})
