import { SwarmError } from '../errors.ts'
import { readRecord, type RecordVerifier } from './record.ts'

/** The DHT's namespace of signed records; a record's key is `/pn/<model key>/<peer id>`. */
export const RECORD_NAMESPACE = 'pn'

/** The key of a peer's record. */
export function recordKey(modelKey: string, peerId: string): Uint8Array {
  return Buffer.from(`/${RECORD_NAMESPACE}/${modelKey}/${peerId}`)
}

/**
 * Makes the DHT accept and return only valid records under their own keys, also bounded in size, which the DHT itself
 * does not check.
 */
export function recordValidator(verifier: RecordVerifier): (key: Uint8Array, value: Uint8Array) => Promise<void> {
  return async (key, value) => {
    const record = await verifier.verify(value, Date.now())
    if (!Buffer.from(recordKey(record.modelKey, record.peerId)).equals(key)) {
      throw new SwarmError('SWARM_RECORD', 'a server record is stored under a foreign key')
    }
  }
}

/** The index of the newest of several valid records. */
export function selectRecord(_key: Uint8Array, values: Uint8Array[]): number {
  const sequences = values.map((value) => readRecord(value).sequence)
  return sequences.indexOf(Math.max(...sequences))
}
