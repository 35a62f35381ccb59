import { createCipheriv, createDecipheriv, createSecretKey, getCiphers, type KeyObject } from 'node:crypto'
import { pureJsCrypto, type ICryptoInterface } from '@libp2p/noise'

const CIPHER = 'chacha20-poly1305'
const TAG_BYTES = 16

/**
 * Noise's cryptography with the same bytes on the wire, but three times as fast for a decode step. Handing raw key
 * bytes to `createCipheriv` costs 30 us of the 40 us that noise's own implementation takes for 8 KB, so the key object
 * is kept as long as noise keeps the key; and a packet is one buffer, because libp2p makes a system call of every
 * piece. Where this build of Node lacks the cipher, everything is left to the pure JavaScript one.
 */
export function cachedKeyCrypto(ciphers: readonly string[] = getCiphers()): ICryptoInterface {
  if (!ciphers.includes(CIPHER)) return pureJsCrypto
  const keyOf = keyCache()
  return {
    ...pureJsCrypto,
    chaCha20Poly1305Encrypt(plaintext, nonce, ad, key) {
      const cipher = createCipheriv(CIPHER, keyOf(key), nonce, { authTagLength: TAG_BYTES })
      if (ad.byteLength > 0) cipher.setAAD(ad, { plaintextLength: plaintext.byteLength })
      const body = cipher.update(plaintext.subarray())
      cipher.final()
      const packet = Buffer.allocUnsafe(body.byteLength + TAG_BYTES)
      packet.set(body)
      packet.set(cipher.getAuthTag(), body.byteLength)
      return packet
    },
    chaCha20Poly1305Decrypt(ciphertext, nonce, ad, key) {
      const packet = ciphertext.subarray()
      const bodyBytes = packet.byteLength - TAG_BYTES
      if (bodyBytes < 0) throw new Error('noise packet shorter than its tag')
      const decipher = createDecipheriv(CIPHER, keyOf(key), nonce, { authTagLength: TAG_BYTES })
      if (ad.byteLength > 0) decipher.setAAD(ad, { plaintextLength: bodyBytes })
      decipher.setAuthTag(packet.subarray(bodyBytes))
      const body = decipher.update(packet.subarray(0, bodyBytes))
      decipher.final()
      return body
    },
  }
}

function keyCache(): (key: Uint8Array) => KeyObject {
  const objects = new WeakMap<Uint8Array, KeyObject>()
  return (key) => {
    const known = objects.get(key)
    if (known !== undefined) return known
    const created = createSecretKey(key)
    objects.set(key, created)
    return created
  }
}
