import assert from 'node:assert/strict'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { test } from 'node:test'
import type { PeerData, PeerStore } from '@libp2p/interface'
import { rememberProtocols } from '../../../src/swarm/guards/known-protocols.ts'

const PEER = 'peer' as unknown as Parameters<PeerStore['merge']>[0]
const OTHER = 'other' as unknown as Parameters<PeerStore['merge']>[0]

function counting(): { store: PeerStore; written: PeerData[]; wait: (ms: number) => void } {
  const written: PeerData[] = []
  let now = 0
  const store = {
    merge: async (id: unknown, data: PeerData) => {
      written.push(data)
      await nextTurn()
      return { id, number: written.length }
    },
    save: async () => 'saved',
    patch: async () => 'patched',
    delete: async () => undefined,
  } as unknown as PeerStore
  rememberProtocols(store, () => now)
  return { store, written, wait: (ms) => (now += ms) }
}

test('that a peer speaks a protocol is written down once a minute, for each peer and protocol', async () => {
  const { store, written, wait } = counting()
  const first = await store.merge(PEER, { protocols: ['/a'] })
  assert.equal(await store.merge(PEER, { protocols: ['/a'] }), first)
  await store.merge(PEER, { protocols: ['/b'] })
  await store.merge(OTHER, { protocols: ['/a'] })
  assert.equal(written.length, 3)
  wait(59_000)
  await store.merge(PEER, { protocols: ['/a'] })
  assert.equal(written.length, 3)
  wait(2000)
  await store.merge(PEER, { protocols: ['/a'] })
  assert.equal(written.length, 4)
})

test('whatever else is told of a peer is written each time', async () => {
  const { store, written } = counting()
  const told: PeerData[] = [{ protocols: ['/a', '/b'] }, { protocols: ['/a'], tags: { kept: { value: 1 } } }, {}]
  for (const data of [...told, ...told]) await store.merge(PEER, data)
  assert.deepEqual(written, [...told, ...told])
})

test('what may take a protocol away again has it written anew, of that peer alone', async () => {
  const { store, written } = counting()
  const both = async (): Promise<void> => {
    for (const peer of [PEER, OTHER]) await store.merge(peer, { protocols: ['/a'] })
  }
  await both()
  assert.equal(String(await store.patch(PEER, { protocols: [] })), 'patched')
  await both()
  assert.equal(written.length, 3)
  assert.equal(String(await store.save(PEER, {})), 'saved')
  await both()
  assert.equal(written.length, 4)
  await store.delete(PEER)
  await both()
  assert.equal(written.length, 5)
})

test('what is taken away while it is being written is not remembered', async () => {
  const { store, written } = counting()
  const writing = store.merge(PEER, { protocols: ['/a'] })
  while (written.length === 0) await nextTurn()
  await Promise.all([store.patch(PEER, { protocols: [] }), writing])
  await store.merge(PEER, { protocols: ['/a'] })
  assert.equal(written.length, 2)
})

test('what could not be written is tried again', async () => {
  let calls = 0
  const store = {
    merge: () => {
      calls += 1
      return Promise.reject(new Error('full'))
    },
    save: () => undefined,
  } as unknown as PeerStore
  rememberProtocols(store)
  for (let i = 0; i < 2; i++) await assert.rejects(store.merge(PEER, { protocols: ['/a'] }), /full/)
  assert.equal(calls, 2)
})
