import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { pureJsCrypto } from '@libp2p/noise'
import { Uint8ArrayList } from 'uint8arraylist'
import { cachedKeyCrypto } from '../../../src/swarm/guards/noise-crypto.ts'

const fast = cachedKeyCrypto()
const key = new Uint8Array(randomBytes(32))
const nonce = new Uint8Array(randomBytes(12))
const noData = new Uint8Array(0)

for (const numBytes of [0, 1, 1199, 8192, 65_519]) {
  for (const ad of [noData, new Uint8Array(randomBytes(32))]) {
    test(`${numBytes} bytes with ${ad.byteLength} bytes of associated data are the same on the wire`, () => {
      const plain = new Uint8Array(randomBytes(numBytes))
      const middle = numBytes >> 1
      const list = new Uint8ArrayList(plain.subarray(0, middle), plain.subarray(middle))
      const expected = pureJsCrypto.chaCha20Poly1305Encrypt(plain, nonce, ad, key).subarray()
      assert.deepEqual(new Uint8Array(fast.chaCha20Poly1305Encrypt(plain, nonce, ad, key).subarray()), expected)
      assert.deepEqual(new Uint8Array(fast.chaCha20Poly1305Encrypt(list, nonce, ad, key).subarray()), expected)
      const cut = new Uint8ArrayList(expected.subarray(0, 5), expected.subarray(5))
      assert.deepEqual(new Uint8Array(fast.chaCha20Poly1305Decrypt(expected, nonce, ad, key).subarray()), plain)
      assert.deepEqual(new Uint8Array(fast.chaCha20Poly1305Decrypt(cut, nonce, ad, key).subarray()), plain)
    })
  }
}

test('a changed byte, other associated data, another key or a short packet is refused', () => {
  const packet = Uint8Array.from(fast.chaCha20Poly1305Encrypt(new Uint8Array(100), nonce, noData, key).subarray())
  const changed = Uint8Array.from(packet)
  changed[50]! ^= 1
  assert.throws(() => fast.chaCha20Poly1305Decrypt(changed, nonce, noData, key))
  assert.throws(() => fast.chaCha20Poly1305Decrypt(packet, nonce, new Uint8Array(1), key))
  assert.throws(() => fast.chaCha20Poly1305Decrypt(packet, nonce, noData, new Uint8Array(32)))
  assert.throws(() => fast.chaCha20Poly1305Decrypt(packet.subarray(0, 10), nonce, noData, key))
})

test('hashes and derived keys are those of the pure JavaScript cryptography', () => {
  for (const numBytes of [0, 32, 1000]) {
    const data = new Uint8Array(randomBytes(numBytes))
    assert.deepEqual(new Uint8Array(fast.hashSHA256(data)), pureJsCrypto.hashSHA256(data))
    const list = new Uint8ArrayList(data.subarray(0, numBytes >> 1), data.subarray(numBytes >> 1))
    assert.deepEqual(new Uint8Array(fast.hashSHA256(list)), pureJsCrypto.hashSHA256(data))
    assert.deepEqual(fast.getHKDF(key, data), pureJsCrypto.getHKDF(key, data))
  }
})

test('keys of either cryptography agree with those of the other; a key of low order or another size is refused', () => {
  const ours = fast.generateX25519KeyPair()
  const theirs = pureJsCrypto.generateX25519KeyPair()
  assert.deepEqual(pureJsCrypto.generateX25519KeyPairFromSeed(ours.privateKey).publicKey, ours.publicKey)
  const shared = pureJsCrypto.generateX25519SharedKey(theirs.privateKey, ours.publicKey)
  assert.deepEqual(new Uint8Array(fast.generateX25519SharedKey(ours.privateKey, theirs.publicKey)), shared)
  assert.deepEqual(new Uint8Array(fast.generateX25519SharedKey(theirs.privateKey, ours.publicKey)), shared)
  for (const bad of [new Uint8Array(32), new Uint8Array(31), new Uint8Array(33)])
    assert.throws(() => fast.generateX25519SharedKey(ours.privateKey, bad))
})

test('a Node without the cipher gets the pure JavaScript one', () => {
  assert.equal(cachedKeyCrypto(['aes-256-gcm']), pureJsCrypto)
})
