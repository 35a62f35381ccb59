import assert from 'node:assert/strict'
import { test } from 'node:test'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { Directory } from '../../../src/swarm/records/directory.ts'
import { loadIdentity } from '../../../src/swarm/node/identity.ts'
import { RecordVerifier, type ServerRecord, signRecord } from '../../../src/swarm/records/record.ts'
import { RecordStore } from '../../../src/swarm/records/record-store.ts'
import { recordOf } from '../kit.ts'

const T0 = 1_700_000_000_000

async function signer() {
  const key = await loadIdentity()
  const peerId = peerIdFromPrivateKey(key).toString()
  return {
    peerId,
    sign: (changes: Partial<ServerRecord> = {}) => signRecord(recordOf(peerId, { issuedAt: T0, ...changes }), key),
  }
}

function directoryAt(maxPeers = 10) {
  const clock = { nowMs: T0 }
  return {
    clock,
    directory: new Directory('tiny-model', { verifier: new RecordVerifier(), maxPeers, now: () => clock.nowMs }),
  }
}

test('the highest sequence wins, in whatever order records arrive', async () => {
  const { peerId, sign } = await signer()
  const { directory } = directoryAt()
  assert.equal(await directory.add(await sign({ sequence: 5 })), true)
  assert.equal(await directory.add(await sign({ sequence: 9, start: 1, blockDigests: [] })), true)
  assert.equal(await directory.add(await sign({ sequence: 7 })), false)
  assert.deepEqual(
    directory.records().map(({ start, sequence }) => [start, sequence]),
    [[1, 9]],
  )
  assert.equal(directory.get(peerId)?.sequence, 9)
  assert.equal(directory.signed().length, 1)
})

test('an older record cannot bring back a server that said OFFLINE, nor one whose last record expired', async () => {
  const [a, b] = [await signer(), await signer()]
  const { directory, clock } = directoryAt()
  const old = [
    await a.sign({ sequence: 1, expiresAt: T0 + 500_000 }),
    await b.sign({ sequence: 1, expiresAt: T0 + 500_000 }),
  ]
  await directory.add(await a.sign({ sequence: 2, state: 'OFFLINE' }))
  await directory.add(await b.sign({ sequence: 2, expiresAt: T0 + 1000 }))
  clock.nowMs = T0 + 2000
  assert.deepEqual(await Promise.all(old.map((bytes) => directory.add(bytes))), [false, false])
  directory.forgetObsolete()
  assert.deepEqual(directory.records(), [])
  assert.equal(directory.numPeers, 2)
  clock.nowMs = T0 + 601_000
  directory.forgetObsolete()
  assert.equal(directory.numPeers, 0)
  assert.equal(directory.numBytes, 0)
})

test('records of other models, expired and forged ones are not kept', async () => {
  const { sign } = await signer()
  const { directory, clock } = directoryAt()
  assert.equal(await directory.add(await sign({ modelKey: 'other' })), false)
  const forged = Uint8Array.from(await sign())
  forged[forged.byteLength - 1]! ^= 1
  await assert.rejects(directory.add(forged), { code: 'SWARM_RECORD' })
  clock.nowMs = T0 + 60_000
  await assert.rejects(directory.add(await sign()), { code: 'SWARM_RECORD_TIME' })
  assert.equal(directory.numPeers, 0)
})

test('a lost connection marks a server but does not remove it, and its next record clears the mark', async () => {
  const { peerId, sign } = await signer()
  const { directory } = directoryAt()
  let numChanges = 0
  const release = directory.onChange(() => {
    numChanges += 1
  })
  directory.markGone(peerId)
  await directory.add(await sign({ sequence: 1 }))
  directory.markGone(peerId)
  assert.equal(directory.isGone(peerId), true)
  assert.equal(directory.records().length, 1)
  await directory.add(await sign({ sequence: 2 }))
  assert.equal(directory.isGone(peerId), false)
  assert.equal(numChanges, 3)
  release()
  await directory.add(await sign({ sequence: 3 }))
  assert.equal(numChanges, 3)
})

test('a full directory gives up the record that expires first', async () => {
  const signers = [await signer(), await signer(), await signer()] as const
  const { directory } = directoryAt(2)
  await directory.add(await signers[0].sign({ expiresAt: T0 + 5000 }))
  await directory.add(await signers[1].sign({ expiresAt: T0 + 1000 }))
  await directory.add(await signers[2].sign())
  assert.deepEqual(
    directory
      .records()
      .map(({ peerId }) => peerId)
      .sort(),
    [signers[0].peerId, signers[2].peerId].sort(),
  )
})

test('a store keeps several models apart, within its bounds, and never gives up a held one', async () => {
  const { sign } = await signer()
  const clock = { nowMs: T0 }
  const store = new RecordStore({ verifier: new RecordVerifier(), now: () => clock.nowMs, maxModels: 2 })
  const seen: string[] = []
  store.onModel((modelKey, known) => seen.push(`${known ? '+' : '-'}${modelKey}`))
  const held = store.hold('held')
  for (const modelKey of ['held', 'a', 'b']) assert.equal(await store.add(await sign({ modelKey })), true)
  assert.equal(await store.add(await sign({ modelKey: 'c' })), false)
  assert.equal(held.records().length, 1)
  assert.equal(store.signed('').length, 3)
  assert.equal(store.signed('a').length, 1)
  assert.equal(store.signed('unknown').length, 0)
  clock.nowMs = T0 + 61_000
  assert.equal(await store.add(await sign({ modelKey: 'c', issuedAt: clock.nowMs })), true)
  assert.ok(store.modelKeys.includes('held') && store.modelKeys.includes('c'))
  assert.deepEqual(seen, ['+held', '+a', '+b', '-a', '+c'])
})

test('a store takes no more bytes than it may', async () => {
  const [a, b] = [await signer(), await signer()]
  const first = await a.sign()
  const store = new RecordStore({ verifier: new RecordVerifier(), now: () => T0, maxBytes: first.byteLength + 10 })
  assert.equal(await store.add(first), true)
  assert.equal(await store.add(await b.sign()), false)
})
