import { MAX_LIFETIME_MS, type RecordVerifier } from './record.ts'
import type { ServerRecord } from './record-fields.ts'

interface Entry {
  readonly record: ServerRecord
  readonly bytes: Uint8Array
}

/** How a directory verifies and bounds its records. */
export interface DirectoryOptions {
  verifier: RecordVerifier
  /** The most peers that are remembered; beyond it the one whose record expires first is forgotten. */
  maxPeers?: number
  now?: () => number
}

/** More than the servers that any model's swarm has had; 1024 records of 10 KB are 10 MB. */
const MAX_PEERS = 1024

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

  /** The newest unexpired records in signed form, OFFLINE ones included, to pass on to other peers. */
  signed(): Uint8Array[] {
    const nowMs = this.#now()
    return [...this.#entries.values()].filter(({ record }) => record.expiresAt > nowMs).map(({ bytes }) => bytes)
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
  async add(bytes: Uint8Array): Promise<boolean> {
    const record = await this.#verifier.verify(bytes, this.#now())
    return this.keep(record, bytes)
  }

  /** Keeps a record that has been verified, as `add` does. */
  keep(record: ServerRecord, bytes: Uint8Array): boolean {
    if (record.modelKey !== this.modelKey) return false
    const known = this.#entries.get(record.peerId)
    if (known !== undefined && known.record.sequence >= record.sequence) return false
    if (known === undefined && this.#entries.size >= this.#maxPeers) this.#makeRoom()
    this.#entries.set(record.peerId, { record, bytes: Uint8Array.from(bytes) })
    this.#numBytes += bytes.byteLength - (known?.bytes.byteLength ?? 0)
    this.#gone.delete(record.peerId)
    this.#changed()
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
    const nowMs = this.#now()
    return [...this.#entries.values()].filter(({ record }) => record.expiresAt > nowMs && record.state !== 'OFFLINE')
  }

  #makeRoom(): void {
    this.forgetObsolete()
    if (this.#entries.size < this.#maxPeers) return
    let first: ServerRecord | undefined
    for (const { record } of this.#entries.values()) {
      if (first === undefined || record.expiresAt < first.expiresAt) first = record
    }
    if (first !== undefined) this.#remove(first.peerId)
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
