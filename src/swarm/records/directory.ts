import { MAX_LIFETIME_MS, type RecordVerifier } from './record.ts'
import type { ServerRecord } from './record-fields.ts'

interface Entry {
  readonly record: ServerRecord
  readonly bytes: Uint8Array
}

export interface DirectoryOptions {
  verifier: RecordVerifier
  /** More peers than this are not remembered: the one whose record expires first makes room. */
  maxPeers?: number
  now?: () => number
}

/** More servers than a model's swarm has had; 1024 records of 10 KB are 10 MB. */
const MAX_PEERS = 1024

/**
 * Who serves one model: each peer's newest valid record. A peer is remembered after its record expired or said OFFLINE,
 * so that an older record, which anybody may send again, cannot bring it back.
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

  /** Peers remembered, expired ones included. */
  get numPeers(): number {
    return this.#entries.size
  }

  /** Bytes of all remembered records. */
  get numBytes(): number {
    return this.#numBytes
  }

  /** Newest records of the servers that are there: neither expired nor OFFLINE. */
  records(): ServerRecord[] {
    return this.#live().map(({ record }) => record)
  }

  /** Newest records with their owners' signatures, also OFFLINE ones, to hand on. */
  signed(): Uint8Array[] {
    const nowMs = this.#now()
    return [...this.#entries.values()].filter(({ record }) => record.expiresAt > nowMs).map(({ bytes }) => bytes)
  }

  /** The newest record of a peer, if it is not expired. */
  get(peerId: string): ServerRecord | undefined {
    const record = this.#entries.get(peerId)?.record
    return record !== undefined && record.expiresAt > this.#now() ? record : undefined
  }

  /**
   * Verifies signed bytes and keeps them if they are a newer record of this model. False for anything else of this
   * model that is known already or older. Throws like `verifyRecord`.
   */
  async add(bytes: Uint8Array): Promise<boolean> {
    const record = await this.#verifier.verify(bytes, this.#now())
    return this.keep(record, bytes)
  }

  /** Keeps a record that the verifier has verified. */
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
   * The connection to a peer was lost. That alone removes nobody, as the peer may be well and only our link gone; but
   * `isGone` tells until its next record.
   */
  markGone(peerId: string): void {
    if (!this.#entries.has(peerId) || this.#gone.has(peerId)) return
    this.#gone.add(peerId)
    this.#changed()
  }

  isGone(peerId: string): boolean {
    return this.#gone.has(peerId)
  }

  /** Forgets peers of whom no older record can be valid any more either. */
  forgetObsolete(): void {
    const nowMs = this.#now()
    for (const [peerId, { record }] of this.#entries) {
      if (record.issuedAt + MAX_LIFETIME_MS < nowMs) this.#remove(peerId)
    }
  }

  /** Calls `listener` after each change, until the returned function is called. */
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
