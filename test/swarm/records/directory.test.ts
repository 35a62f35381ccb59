import assert from 'node:assert/strict'
import { test } from 'node:test'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { Directory } from '../../../src/swarm/records/directory.ts'
import { loadIdentity } from '../../../src/swarm/node/identity.ts'
import { RecordVerifier, type ServerRecord, signRecord } from '../../../src/swarm/records/record.ts'
import { RecordStore } from '../../../src/swarm/records/record-store.ts'
import { type RecordSource, STANDING } from '../../../src/swarm/records/standing.ts'
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
  await assert.rejects(directory.add(forged), { code: 'SWARM_SIGNATURE' })
  clock.nowMs = T0 + 60_000
  await assert.rejects(directory.add(await sign()), { code: 'SWARM_RECORD_TIME' })
  assert.equal(directory.numPeers, 0)
})

test('a server that says nothing more is out of the map when its record expires, and not before', async () => {
  const { sign } = await signer()
  const { directory, clock } = directoryAt()
  await directory.add(await sign({ expiresAt: T0 + 75_000 }))
  clock.nowMs = T0 + 74_999
  assert.deepEqual([directory.records().length, directory.signed().length], [1, 1])
  clock.nowMs = T0 + 75_000
  assert.deepEqual([directory.records().length, directory.signed().length, directory.digests().length], [0, 0, 0])
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

test('a full directory gives up the peer for which the least speaks, and an expired one before it', async () => {
  const signers = await Promise.all(Array.from({ length: 6 }, signer))
  const { directory, clock } = directoryAt(3)
  const add = async (i: number, source: RecordSource, changes: Partial<ServerRecord> = {}) =>
    directory.add(await signers[i]!.sign(changes), source)
  const kept = () => directory.records().map(({ peerId }) => signers.findIndex((signer) => signer.peerId === peerId))
  const heard = { standing: STANDING.heard, host: '192.0.2.1', from: 'a' } as const
  const met = { standing: STANDING.met, host: '192.0.2.2', from: 'b' } as const
  await add(0, met, { expiresAt: T0 + 1000 })
  await add(1, heard)
  await add(2, heard)
  assert.equal(await add(3, heard), false, 'the same host adds nothing by insisting')
  assert.deepEqual(kept(), [0, 1, 2])
  assert.equal(await add(3, { ...heard, host: '192.0.2.9' }), true, 'one of another host counts more than its second')
  assert.equal(await add(5, { ...heard, host: '192.0.2.10' }), false, 'all hosts have one now')
  assert.deepEqual(kept(), [0, 1, 3])
  assert.equal(await add(2, met), true)
  assert.deepEqual(kept(), [0, 3, 2])
  clock.nowMs = T0 + 2000
  assert.equal(await add(4, heard), true)
  assert.deepEqual(kept(), [3, 2, 4])
  // A peer that was met later on is worth as much as one that was met at first.
  directory.raise(signers[4]!.peerId, met)
  assert.equal(await add(5, met), true)
  assert.deepEqual(kept(), [2, 4, 5])
})

test('those that were only heard of have half of a directory, so that there is room for those met later', async () => {
  const { directory } = directoryAt(8)
  const kept = { heard: 0, vouched: 0 }
  for (let i = 0; i < 8; i++) {
    const source = { standing: STANDING.heard, host: `192.0.2.${i}`, from: `peer ${i}` } as const
    if (await directory.add(await (await signer()).sign(), source)) kept.heard++
  }
  for (let i = 0; i < 5; i++) {
    const source = { standing: STANDING.vouched, host: '192.0.2.99', from: 'bootstrap' } as const
    if (await directory.add(await (await signer()).sign(), source)) kept.vouched++
  }
  assert.deepEqual([kept, directory.numPeers], [{ heard: 4, vouched: 5 }, 8])
})

test('a store keeps several models apart, within its bounds, and never gives up a held one', async () => {
  const { sign } = await signer()
  const clock = { nowMs: T0 }
  const store = new RecordStore({ verifier: new RecordVerifier(), now: () => clock.nowMs, maxModels: 2 })
  const met = { standing: STANDING.met, host: '192.0.2.1', from: 'a' } as const
  const seen: string[] = []
  store.onModel((modelKey, known) => seen.push(`${known ? '+' : '-'}${modelKey}`))
  const held = store.hold('held')
  for (const modelKey of ['held', 'a', 'b']) assert.equal(await store.add(await sign({ modelKey }), met), true)
  assert.equal(await store.add(await sign({ modelKey: 'c' }), met), false)
  assert.equal(held.records().length, 1)
  assert.equal(store.signed('').length, 3)
  assert.equal(store.signed('a').length, 1)
  assert.equal(store.signed('unknown').length, 0)
  clock.nowMs = T0 + 61_000
  assert.equal(await store.add(await sign({ modelKey: 'c', issuedAt: clock.nowMs }), met), true)
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
