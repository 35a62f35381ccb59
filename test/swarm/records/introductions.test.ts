import assert from 'node:assert/strict'
import { test } from 'node:test'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { loadIdentity } from '../../../src/swarm/node/identity.ts'
import { Introductions } from '../../../src/swarm/records/introductions.ts'
import { MAX_LIFETIME_MS, RecordVerifier, signRecord } from '../../../src/swarm/records/record.ts'
import { RecordStore } from '../../../src/swarm/records/record-store.ts'
import { STANDING, type Standing } from '../../../src/swarm/records/standing.ts'
import { recordOf } from '../kit.ts'

const T0 = 1_700_000_000_000

test('each peer introduces so many others, bytes and models, and again after the longest life of a record', () => {
  let nowMs = T0
  const introductions = new Introductions(() => nowMs, { peers: 3, bytes: 1000, models: 1 })
  const peers = (from: string, bytes: number) => [1, 2, 3, 4].map(() => introductions.tryTakePeer(from, bytes))
  assert.deepEqual(peers('a', 10), [true, true, true, false])
  assert.deepEqual(peers('b', 400), [true, true, false, false])
  assert.deepEqual([introductions.tryTakeModel('a'), introductions.tryTakeModel('a')], [true, false])
  assert.equal(introductions.tryTakeModel('b'), true)
  nowMs += MAX_LIFETIME_MS - 1
  assert.equal(introductions.tryTakePeer('a', 10), false)
  nowMs += 1
  assert.equal(introductions.tryTakePeer('a', 10), true)
  assert.equal(introductions.tryTakeModel('a'), true)
})

test('what expires at once counts all the same; a known peer, or one that was met, does not', async () => {
  let nowMs = T0
  const store = new RecordStore({ verifier: new RecordVerifier(), now: () => nowMs })
  store.hold('tiny-model')
  const add = async (key: Awaited<ReturnType<typeof loadIdentity>>, standing: Standing) => {
    const peerId = peerIdFromPrivateKey(key).toString()
    const times = { issuedAt: nowMs - 599_000, expiresAt: nowMs + 1, sequence: nowMs }
    const source = { standing, host: '192.0.2.1', from: 'someone' }
    return store.add(await signRecord(recordOf(peerId, times), key), source)
  }
  const [known, met] = [await loadIdentity(), await loadIdentity()]
  assert.equal(await add(known, STANDING.heard), true)
  let numTaken = 1
  for (let i = 0; i < 300; i++) {
    nowMs += 10
    if (await add(await loadIdentity(), STANDING.heard)) numTaken++
  }
  assert.equal(numTaken, 256)
  assert.equal(await add(known, STANDING.heard), true)
  assert.equal(await add(met, STANDING.met), true)
})
