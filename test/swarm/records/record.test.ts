import assert from 'node:assert/strict'
import { test } from 'node:test'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import protobuf from 'protobufjs'
import { selectRecord, recordKey, recordValidator } from '../../../src/swarm/records/dht-records.ts'
import { loadIdentity } from '../../../src/swarm/node/identity.ts'
import { RecordVerifier, type ServerRecord, signRecord, verifyRecord } from '../../../src/swarm/records/record.ts'
import { recordOf } from '../kit.ts'

const NOW = 1_700_000_000_000
const key = await loadIdentity()
const peerId = peerIdFromPrivateKey(key).toString()
const good = recordOf(peerId, { issuedAt: NOW, publicName: 'Zoë’s box' })

const envelope = protobuf
  .parse('syntax = "proto3"; message E { bytes payload = 1; bytes signature = 2; }')
  .root.lookupType('E')
const open = (bytes: Uint8Array) => envelope.decode(bytes) as unknown as { payload: Uint8Array; signature: Uint8Array }
const seal = (parts: { payload: Uint8Array; signature: Uint8Array }) => envelope.encode(parts).finish()

test('a signed record comes back with every field', async () => {
  const special = {
    ...good,
    kvDType: 'int8',
    clientAdapters: true,
    adapters: ['moby'],
    backwardTokens: 4096,
    protocol: '1.2.0',
  }
  for (const record of [good, special]) assert.deepEqual(await verifyRecord(await signRecord(record, key), NOW), record)
})

test('a changed payload, a changed signature and one of the wrong length are refused', async () => {
  const { payload, signature } = open(await signRecord(good, key))
  const other = open(await signRecord({ ...good, throughput: 99 }, key))
  const flipped = Uint8Array.from(signature)
  flipped[3]! ^= 1
  for (const parts of [
    { payload, signature: other.signature },
    { payload, signature: flipped },
    { payload, signature: signature.subarray(1) },
    { payload, signature: new Uint8Array(0) },
  ]) {
    await assert.rejects(verifyRecord(seal(parts), NOW), { code: 'SWARM_SIGNATURE', message: /false signature/ })
  }
  await assert.rejects(verifyRecord(Uint8Array.of(0x0a, 0x99), NOW), { code: 'SWARM_RECORD' })
  await assert.rejects(verifyRecord(new Uint8Array(61 << 10), NOW), { code: 'SWARM_RECORD', message: /limit/ })
})

test('nobody can sign for another peer', async () => {
  await assert.rejects(signRecord(good, await loadIdentity()), { code: 'SWARM_RECORD' })
})

const times: [string, number, Partial<ServerRecord>][] = [
  ['expired', NOW + 60_000, {}],
  ['from the future', NOW - 3 * 60_000, {}],
  ['with too long a life', NOW, { expiresAt: NOW + 11 * 60_000 }],
  ['that expires before it was issued', NOW - 1, { expiresAt: NOW }],
]
for (const [name, nowMs, changes] of times) {
  test(`a record ${name} is refused`, async () => {
    const bytes = await signRecord({ ...good, ...changes }, key)
    await assert.rejects(verifyRecord(bytes, nowMs), { code: 'SWARM_RECORD_TIME' })
    await assert.rejects(new RecordVerifier().verify(bytes, nowMs), { code: 'SWARM_RECORD_TIME' })
  })
}

async function someone(): Promise<{ peerId: string }> {
  return { peerId: peerIdFromPrivateKey(await loadIdentity()).toString() }
}

test('a record may name hosts by address or by name, each with a TCP port', async () => {
  const hosts = ['ip4/192.0.2.1', 'ip6/2001:db8::1', 'dns/example.com', 'dns4/example.com', 'dns6/example.com']
  const multiaddrs = [...hosts.map((host) => `/${host}/tcp/4001`), `/ip4/192.0.2.1/tcp/1/p2p/${good.peerId}`]
  for (const reachable of [true, false, undefined]) {
    const record = { ...good, multiaddrs, ...(reachable !== undefined && { reachable }) }
    assert.deepEqual(await verifyRecord(await signRecord(record, key), NOW), record)
  }
})

const fields: Partial<ServerRecord>[] = [
  { start: 2 },
  { start: -1 },
  { end: 100_001 },
  { state: 'GONE' as 'ONLINE' },
  { dtype: 'float7' },
  { device: 'tpu' },
  { cacheTokensLeft: 2000 },
  { throughput: Number.NaN },
  { throughput: -1 },
  { blockDigests: ['aa'] },
  { modelKey: '' },
  { modelKey: 'a\u0007b' },
  { multiaddrs: ['nowhere'] },
  { multiaddrs: ['/unix/var%2frun%2fdocker.sock'] },
  { multiaddrs: ['/ip4/192.0.2.1/udp/4001/quic-v1'] },
  { multiaddrs: ['/dns4/example.com/tcp/443/tls/ws'] },
  { multiaddrs: ['/dnsaddr/example.com'] },
  { multiaddrs: ['/ip4/192.0.2.1/tcp/0'] },
  { multiaddrs: [`/ip4/192.0.2.1/tcp/4001/p2p/${(await someone()).peerId}`] },
  { multiaddrs: [`/ip4/192.0.2.1/tcp/4001/p2p/${(await someone()).peerId}/p2p-circuit`] },
  { multiaddrs: Array.from({ length: 33 }, () => '/ip4/127.0.0.1/tcp/1') },
  { sequence: 1.5 },
  { publicName: 'x'.repeat(300) },
  { peerId: 'me' },
  { kvDType: 'in\nt8' },
]
for (const changes of fields) {
  test(`a record with ${JSON.stringify(changes).slice(0, 50)} is refused`, async () => {
    await assert.rejects(signRecord({ ...good, ...changes }, key), { code: 'SWARM_RECORD' })
  })
}

test('the verifier checks the signature of the same bytes once, and their times always', async () => {
  const verifier = new RecordVerifier(2)
  const bytes = await signRecord(good, key)
  await verifier.verify(bytes, NOW)
  await verifier.verify(Uint8Array.from(bytes), NOW + 1)
  assert.equal(verifier.numVerified, 1)
  await assert.rejects(verifier.verify(bytes, NOW + 60_000), { code: 'SWARM_RECORD_TIME' })
  for (const sequence of [1, 2]) await verifier.verify(await signRecord({ ...good, sequence }, key), NOW)
  await verifier.verify(bytes, NOW)
  assert.equal(verifier.numVerified, 4)
})

test('the DHT keeps a record only under its own key, and selects the newest', async () => {
  const fresh = recordOf(peerId)
  const [older, newer] = [
    await signRecord({ ...fresh, sequence: 5 }, key),
    await signRecord({ ...fresh, sequence: 9 }, key),
  ]
  const validate = recordValidator(new RecordVerifier())
  await validate(recordKey('tiny-model', peerId), newer)
  await assert.rejects(validate(recordKey('other-model', peerId), newer), { code: 'SWARM_RECORD' })
  assert.equal(selectRecord(recordKey('tiny-model', peerId), [older, newer, older]), 1)
})
