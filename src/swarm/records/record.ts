import { createHash } from 'node:crypto'
import type { PrivateKey, PublicKey } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { parseSchema } from '../../base/protobuf.ts'
import { SwarmError } from '../errors.ts'
import { MAX_RECORD_BYTES } from '../limits.ts'
import { checkFields, type ServerRecord } from './record-fields.ts'

export type { RecordState, ServerRecord } from './record-fields.ts'

const SCHEMA = `
syntax = "proto3";
message Envelope { bytes payload = 1; bytes signature = 2; }
message Record {
  string peerId = 1; repeated string multiaddrs = 2; string modelKey = 3; uint32 start = 4; uint32 end = 5;
  string state = 6; string dtype = 7; string quant = 8; string device = 9; double cacheTokensLeft = 10;
  double cacheTokens = 11; double throughput = 12; repeated string blockDigests = 13; string version = 14;
  string publicName = 15; double sequence = 16; double issuedAt = 17; double expiresAt = 18;
  string protocol = 19; repeated string adapters = 20; bool clientAdapters = 21; string kvDType = 22;
  optional bool reachable = 23; bool movable = 30; optional uint32 movingTo = 31;
  double prefillRate = 24; double decodeRate = 25; double queueMs = 26; map<string, double> nextRtts = 27;
  repeated string wireDTypes = 32;
  double backwardTokens = 33;
}`

const schema = parseSchema(SCHEMA)
const envelopeType = schema.lookupType('Envelope')
const recordType = schema.lookupType('Record')

/** Prefix of the signed bytes; it distinguishes these signatures from all others made with the same key. */
const DOMAIN = Buffer.from('petals-node/server-record/1\n')

/**
 * The longest lifetime of a record. It bounds how old a record can be replayed, and how long a vanished server is
 * believed to exist.
 */
export const MAX_LIFETIME_MS = 10 * 60_000

/** How far ahead another machine's clock may be. */
const MAX_CLOCK_SKEW_MS = 2 * 60_000

/** Encodes and signs a record. Throws `SWARM_RECORD` if peers would not accept it. */
export async function signRecord(record: ServerRecord, privateKey: PrivateKey): Promise<Uint8Array> {
  checkFields(record)
  if (publicKeyOf(record.peerId).equals(privateKey.publicKey) === false) {
    throw new SwarmError(
      'SWARM_RECORD',
      `peer id ${record.peerId} does not belong to the key that should sign its record`,
    )
  }
  const payload = recordType.encode(record).finish()
  const signature = await privateKey.sign(signed(payload))
  const bytes = envelopeType.encode({ payload, signature }).finish()
  checkSize(bytes)
  return Uint8Array.from(bytes)
}

/**
 * Decodes a signed record and checks that its owner signed it and that it is valid at `nowMs`. Throws `SWARM_RECORD`
 * (too large, malformed, a bad field), `SWARM_SIGNATURE` or `SWARM_RECORD_TIME` (expired, issued in the future, too
 * long a lifetime).
 */
export async function verifyRecord(bytes: Uint8Array, nowMs: number): Promise<ServerRecord> {
  const record = await verifySignature(bytes)
  checkTimes(record, nowMs)
  return record
}

/** Decodes a signed record that has been verified before. Throws `SWARM_RECORD` for bytes that are no record. */
export function readRecord(bytes: Uint8Array): ServerRecord {
  return toRecord(decodeEnvelope(bytes).payload)
}

/**
 * Verifies records as `verifyRecord`, but checks a signature only once for the same bytes: a check takes half a
 * millisecond.
 */
export class RecordVerifier {
  readonly #known = new Map<string, ServerRecord>()
  readonly #maxEntries: number
  #numVerified = 0

  /** 4096 records are about 4 MB: those of more servers than a swarm has, over several generations. */
  constructor(maxEntries = 4096) {
    this.#maxEntries = maxEntries
  }

  /** How many signatures have been checked. */
  get numVerified(): number {
    return this.#numVerified
  }

  async verify(bytes: Uint8Array, nowMs: number): Promise<ServerRecord> {
    checkSize(bytes)
    const digest = createHash('sha256').update(bytes).digest('base64')
    const known = this.#known.get(digest)
    const record = known ?? (await this.#verifyNew(bytes, nowMs))
    if (known !== undefined) checkTimes(known, nowMs)
    else this.#remember(digest, record)
    return record
  }

  async #verifyNew(bytes: Uint8Array, nowMs: number): Promise<ServerRecord> {
    checkTimes(readRecord(bytes), nowMs)
    this.#numVerified += 1
    return await verifySignature(bytes)
  }

  #remember(digest: string, record: ServerRecord): void {
    this.#known.set(digest, record)
    if (this.#known.size <= this.#maxEntries) return
    const oldest = this.#known.keys().next()
    if (!oldest.done) this.#known.delete(oldest.value)
  }
}

async function verifySignature(bytes: Uint8Array): Promise<ServerRecord> {
  const { payload, signature } = decodeEnvelope(bytes)
  const record = toRecord(payload)
  const valid = await isSignedBy(publicKeyOf(record.peerId), signed(payload), signature)
  if (!valid) throw new SwarmError('SWARM_SIGNATURE', `a server record of peer ${record.peerId} has a false signature`)
  return record
}

/**
 * Whether a signature is valid. libp2p throws for a signature of the wrong length and returns false for other wrong
 * ones.
 */
async function isSignedBy(key: PublicKey, data: Uint8Array, signature: Uint8Array): Promise<boolean> {
  try {
    return await key.verify(data, signature)
  } catch {
    return false
  }
}

function decodeEnvelope(bytes: Uint8Array): { payload: Uint8Array; signature: Uint8Array } {
  checkSize(bytes)
  try {
    return envelopeType.decode(bytes) as unknown as { payload: Uint8Array; signature: Uint8Array }
  } catch (error) {
    throw new SwarmError('SWARM_RECORD', 'a server record does not parse', { cause: error })
  }
}

function toRecord(payload: Uint8Array): ServerRecord {
  let raw: ServerRecord
  try {
    raw = recordType.decode(payload) as unknown as ServerRecord
  } catch (error) {
    throw new SwarmError('SWARM_RECORD', 'a server record does not parse', { cause: error })
  }
  const { peerId, multiaddrs, modelKey, start, end, state, dtype, quant, device, version, publicName } = raw
  const { cacheTokensLeft, cacheTokens, throughput, blockDigests, sequence, issuedAt, expiresAt } = raw
  const record: ServerRecord = {
    peerId,
    multiaddrs: [...multiaddrs],
    modelKey,
    start,
    end,
    state,
    dtype,
    quant,
    device,
    cacheTokensLeft,
    cacheTokens,
    throughput,
    prefillRate: raw.prefillRate,
    decodeRate: raw.decodeRate,
    queueMs: raw.queueMs,
    nextRtts: { ...raw.nextRtts },
    blockDigests: [...blockDigests],
    adapters: [...raw.adapters],
    version,
    sequence,
    issuedAt,
    expiresAt,
  }
  if (publicName !== undefined && publicName !== '') record.publicName = publicName
  if (raw.protocol !== undefined && raw.protocol !== '') record.protocol = raw.protocol
  if (raw.kvDType !== undefined && raw.kvDType !== '') record.kvDType = raw.kvDType
  // A field that a message lacks reads as its default, which lies in the prototype.
  if (Object.hasOwn(raw, 'reachable') && raw.reachable !== undefined) record.reachable = raw.reachable
  if (raw.wireDTypes !== undefined && raw.wireDTypes.length > 0) record.wireDTypes = [...raw.wireDTypes]
  if (raw.clientAdapters) record.clientAdapters = true
  if (raw.backwardTokens) record.backwardTokens = raw.backwardTokens
  if (raw.movable) record.movable = true
  if (Object.hasOwn(raw, 'movingTo') && raw.movingTo !== undefined) record.movingTo = raw.movingTo
  checkFields(record)
  return record
}

function publicKeyOf(peerId: string): PublicKey {
  try {
    const { publicKey } = peerIdFromString(peerId)
    if (publicKey?.type === 'Ed25519') return publicKey
  } catch (error) {
    throw new SwarmError('SWARM_RECORD', 'a server record has no proper peer id', { cause: error })
  }
  throw new SwarmError('SWARM_RECORD', 'a server record is of a peer id without an Ed25519 key')
}

function checkSize(bytes: Uint8Array): void {
  if (bytes.byteLength <= MAX_RECORD_BYTES) return
  throw new SwarmError(
    'SWARM_RECORD',
    `a server record of ${bytes.byteLength} bytes is over the limit of ${MAX_RECORD_BYTES}`,
  )
}

function checkTimes({ peerId, issuedAt, expiresAt }: ServerRecord, nowMs: number): void {
  const say = (what: string) => new SwarmError('SWARM_RECORD_TIME', `the server record of peer ${peerId} ${what}`)
  if (expiresAt <= nowMs) throw say(`expired ${(nowMs - expiresAt) / 1000} s ago`)
  if (issuedAt > nowMs + MAX_CLOCK_SKEW_MS) {
    throw say(`was issued ${(issuedAt - nowMs) / 1000} s in the future: check the clocks of both machines`)
  }
  if (expiresAt - issuedAt > MAX_LIFETIME_MS || expiresAt <= issuedAt) {
    throw say(`lives ${(expiresAt - issuedAt) / 1000} s, which is not between 0 and ${MAX_LIFETIME_MS / 1000} s`)
  }
}

function signed(payload: Uint8Array): Uint8Array {
  return Buffer.concat([DOMAIN, payload])
}
