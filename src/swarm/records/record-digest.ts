import { createHash } from 'node:crypto'

/** Bytes of a digest on the wire. Two records with one digest would take 2^64 attempts to find. */
const RECORD_DIGEST_BYTES = 8

/** The most digests in one question, those of four full directories; who has more asks for everything. */
export const MAX_KNOWN_DIGESTS = 4096

/** Names a signed record among those that two peers hold: the first bytes of its SHA-256, in hex. */
export function recordDigest(bytes: Uint8Array): string {
  return createHash('sha256')
    .update(bytes)
    .digest('hex')
    .slice(0, 2 * RECORD_DIGEST_BYTES)
}

/** Digests in a row, as a question for changes carries them. */
export function packDigests(digests: readonly string[]): Uint8Array {
  return Buffer.from(digests.join(''), 'hex')
}

/** The digests of a row; a remainder that is none is left out. */
export function unpackDigests(packed: Uint8Array): Set<string> {
  const hex = Buffer.from(packed).toString('hex')
  const width = 2 * RECORD_DIGEST_BYTES
  const count = Math.floor(packed.byteLength / RECORD_DIGEST_BYTES)
  return new Set(Array.from({ length: count }, (_, i) => hex.slice(i * width, (i + 1) * width)))
}
