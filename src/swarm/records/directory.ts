import { MAX_LIFETIME_MS, type RecordVerifier } from './record.ts'
import { recordDigest } from './record-digest.ts'
import type { ServerRecord } from './record-fields.ts'
import { type Claim, OWN_SOURCE, type RecordSource, STANDING, weakest } from './standing.ts'

interface Entry extends Claim {
  readonly record: ServerRecord
  readonly bytes: Uint8Array
  /** Names the bytes in questions for what has changed. */
  readonly digest: string
}

/** How a directory verifies and bounds its records. */
export interface DirectoryOptions {
  verifier: RecordVerifier
  /** The most peers that are remembered; beyond it the one for which the least speaks is forgotten. */
  maxPeers?: number
  now?: () => number
}

/** The most peers of a directory: more than any model's swarm has had servers; 1024 records of 10 KB are 10 MB. */
const MAX_PEERS = 1024
/**
 * The share of peers that were only heard of. Who asks this node takes them from it like all others, and must have room
 * for those that this node has met later on.
 */
const HEARD_SHARE = 0.5

/**
 * The servers of one model: each peer's newest valid record. A peer is remembered even after its record has expired or
 * said OFFLINE, so that an older record, which anybody may send again, cannot bring it back.
 */
export class Directory {
  readonly modelKey: string
  readonly #verifier: RecordVerifier
  readonly #maxPeers: number
  readonly #now: () => number
  readonly #entries = new Map<string, Entry>()
  readonly #gone = new Set<string>()
  readonly #listeners = new Set<() => void>()
  #numBytes = 0
  #numArrived = 0

  constructor(modelKey: string, { verifier, maxPeers = MAX_PEERS, now = Date.now }: DirectoryOptions) {
    this.modelKey = modelKey
    this.#verifier = verifier
    this.#maxPeers = maxPeers
    this.#now = now
  }

  /** The number of remembered peers, including those with expired records. */
  get numPeers(): number {
    return this.#entries.size
  }

  /** Bytes of all remembered records. */
  get numBytes(): number {
    return this.#numBytes
  }

  /** The newest record of each server that is neither expired nor OFFLINE. */
  records(): ServerRecord[] {
    return this.#live().map(({ record }) => record)
  }

  /**
   * The newest unexpired records in signed form, OFFLINE ones included, to pass on to other peers: those for which the
   * most speaks first, and without those of which the asking peer already has the bytes, by digest.
   */
  signed(known: ReadonlySet<string> = new Set()): Uint8Array[] {
    return this.#unexpired()
      .filter(({ digest }) => !known.has(digest))
      .toSorted((a, b) => b.standing - a.standing)
      .map(({ bytes }) => bytes)
  }

  /** The digests of all that `signed` has. */
  digests(): string[] {
    return this.#unexpired().map(({ digest }) => digest)
  }

  /** The strongest claim of a peer in this directory; undefined if it is empty. */
  get strongest(): Claim | undefined {
    let best: Claim | undefined
    for (const entry of this.#entries.values()) if (best === undefined || entry.standing > best.standing) best = entry
    return best
  }

  /** A peer's newest record; undefined if it has none or it has expired. */
  get(peerId: string): ServerRecord | undefined {
    const record = this.#entries.get(peerId)?.record
    return record !== undefined && record.expiresAt > this.#now() ? record : undefined
  }

  /**
   * Verifies a signed record and keeps it if it is of this model and newer than the known one. Returns whether it was
   * kept. Throws as `verifyRecord`.
   */
  async add(bytes: Uint8Array, source: RecordSource = OWN_SOURCE): Promise<boolean> {
    const record = await this.#verifier.verify(bytes, this.#now())
    return this.keep(record, bytes, source)
  }

  /** Whether a peer is remembered, be its record expired or not. */
  remembers(peerId: string): boolean {
    return this.#entries.has(peerId)
  }

  /** Keeps a record that has been verified, as `add` does. */
  keep(record: ServerRecord, bytes: Uint8Array, source: RecordSource): boolean {
    if (record.modelKey !== this.modelKey) return false
    const known = this.#entries.get(record.peerId)
    if (known !== undefined && known.record.sequence >= record.sequence) {
      this.#raise(known, source)
      return false
    }
    if (known === undefined && !this.#makeRoom(source)) return false
    const { standing, host } = known === undefined || known.standing < source.standing ? source : known
    const arrival = known?.arrival ?? ++this.#numArrived
    const copy = Uint8Array.from(bytes)
    this.#entries.set(record.peerId, { record, bytes: copy, digest: recordDigest(copy), standing, host, arrival })
    this.#numBytes += bytes.byteLength - (known?.bytes.byteLength ?? 0)
    this.#gone.delete(record.peerId)
    this.#changed()
    return true
  }

  /** Notes that more speaks for a peer than did when its record came. */
  raise(peerId: string, source: RecordSource): void {
    const known = this.#entries.get(peerId)
    if (known !== undefined) this.#raise(known, source)
  }

  /** Forgets the peer for which the least speaks, if that is less than for the newcomer. */
  forgetWeakest(newcomer: RecordSource): boolean {
    const gone = weakest(this.#entries.values(), newcomer)
    if (gone === undefined) return false
    this.#remove(gone.record.peerId)
    return true
  }

  /**
   * Notes that the connection to a peer was lost: `isGone` is true until the peer's next record. The record stays,
   * since the peer may be well and only our link to it broken.
   */
  markGone(peerId: string): void {
    if (!this.#entries.has(peerId) || this.#gone.has(peerId)) return
    this.#gone.add(peerId)
    this.#changed()
  }

  /** Whether the connection to a peer was lost after its newest record came. */
  isGone(peerId: string): boolean {
    return this.#gone.has(peerId)
  }

  /** Forgets the peers of which even an older record cannot be valid any more. */
  forgetObsolete(): void {
    const nowMs = this.#now()
    for (const [peerId, { record }] of this.#entries) {
      if (record.issuedAt + MAX_LIFETIME_MS < nowMs) this.#remove(peerId)
    }
  }

  /** Calls `listener` after each change. Returns the function that ends this. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  #live(): Entry[] {
    return this.#unexpired().filter(({ record }) => record.state !== 'OFFLINE')
  }

  #unexpired(): Entry[] {
    const nowMs = this.#now()
    return [...this.#entries.values()].filter(({ record }) => record.expiresAt > nowMs)
  }

  #raise(entry: Entry, { standing, host }: RecordSource): void {
    if (standing > entry.standing) this.#entries.set(entry.record.peerId, { ...entry, standing, host })
  }

  /**
   * Makes room for a newcomer where there is none: the obsolete go first, then one that has expired, then the weakest.
   */
  #makeRoom(newcomer: RecordSource): boolean {
    const isFull = () => this.#entries.size >= this.#maxPeers || this.#isFullOfHeard(newcomer)
    if (!isFull()) return true
    this.forgetObsolete()
    if (!isFull()) return true
    const nowMs = this.#now()
    const expired = [...this.#entries.values()].find(({ record }) => record.expiresAt <= nowMs)
    if (expired !== undefined) this.#remove(expired.record.peerId)
    return !isFull() || this.forgetWeakest(newcomer)
  }

  /** Whether a newcomer that was only heard of would be one too many of its kind. */
  #isFullOfHeard({ standing }: RecordSource): boolean {
    if (standing !== STANDING.heard) return false
    const heard = [...this.#entries.values()].filter((entry) => entry.standing === STANDING.heard)
    return heard.length >= Math.ceil(this.#maxPeers * HEARD_SHARE)
  }

  #remove(peerId: string): void {
    this.#numBytes -= this.#entries.get(peerId)?.bytes.byteLength ?? 0
    this.#entries.delete(peerId)
    this.#gone.delete(peerId)
  }

  #changed(): void {
    for (const listener of this.#listeners) listener()
  }
}
