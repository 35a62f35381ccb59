import { Directory } from './directory.ts'
import { Introductions } from './introductions.ts'
import type { RecordVerifier } from './record.ts'
import type { ServerRecord } from './record-fields.ts'
import { type Claim, OWN_SOURCE, type RecordSource, STANDING, weakest } from './standing.ts'

/** How a store verifies and bounds its records. */
export interface RecordStoreOptions {
  verifier: RecordVerifier
  now?: () => number
  /** The most models besides those that this node takes part in. */
  maxModels?: number
  maxBytes?: number
}

/**
 * The most models of a store: a bootstrap node of a public swarm knows tens of them, each of which costs it a gossip
 * topic.
 */
const MAX_MODELS = 64
const MAX_BYTES = 64 << 20

/** The directories of all models that a node has heard of, so that any node can answer who serves what. */
export class RecordStore {
  readonly #options: Required<RecordStoreOptions>
  /** By model key, least recently changed first. */
  readonly #directories = new Map<string, Directory>()
  readonly #held = new Map<string, Set<object>>()
  readonly #listeners = new Set<(modelKey: string, known: boolean) => void>()
  readonly #introductions: Introductions
  readonly #arrivals = new Map<string, number>()
  #numArrived = 0

  constructor({ verifier, now = Date.now, maxModels = MAX_MODELS, maxBytes = MAX_BYTES }: RecordStoreOptions) {
    this.#options = { verifier, now, maxModels, maxBytes }
    this.#introductions = new Introductions(now)
  }

  get modelKeys(): string[] {
    return [...this.#directories.keys()]
  }

  get numBytes(): number {
    return [...this.#directories.values()].reduce((sum, directory) => sum + directory.numBytes, 0)
  }

  /** The directory of a model that this node takes part in. It is kept until all holders have called `release`. */
  hold(modelKey: string, holder: object = this): Directory {
    const holders = this.#held.get(modelKey) ?? new Set()
    this.#held.set(modelKey, holders.add(holder))
    return this.#directories.get(modelKey) ?? this.#create(modelKey)
  }

  /** The opposite of `hold`. */
  release(modelKey: string, holder: object = this): void {
    const holders = this.#held.get(modelKey)
    if (holders?.delete(holder) && holders.size === 0) this.#held.delete(modelKey)
  }

  /**
   * Verifies and keeps a record of any model. Returns false if it is not new, if there is no room for what comes from
   * this source, or if its sender has introduced too many. Throws as `verifyRecord`.
   */
  async add(bytes: Uint8Array, source: RecordSource = OWN_SOURCE): Promise<boolean> {
    return this.keep(await this.#options.verifier.verify(bytes, this.#options.now()), bytes, source)
  }

  /** Keeps a record that has been verified, as `add` does. */
  keep(record: ServerRecord, bytes: Uint8Array, source: RecordSource): boolean {
    const { modelKey, peerId } = record
    const isKnown = this.#directories.get(modelKey)?.remembers(peerId) === true
    if (!isKnown && !this.#admits(modelKey, bytes.byteLength, source)) return false
    if (!this.#makeRoomFor(modelKey, bytes.byteLength, source)) return false
    const directory = this.#directories.get(modelKey) ?? this.#create(modelKey)
    const isNew = directory.keep(record, bytes, source)
    if (isNew) {
      this.#directories.delete(modelKey)
      this.#directories.set(modelKey, directory)
    } else if (directory.numPeers === 0 && !this.#held.has(modelKey)) this.#forget(modelKey)
    return isNew
  }

  /**
   * All unexpired signed records of a model; with an empty key, of all models. Without those whose digests the asking
   * peer has named.
   */
  signed(modelKey: string, known?: ReadonlySet<string>): Uint8Array[] {
    return this.#directoriesOf(modelKey).flatMap((directory) => directory.signed(known))
  }

  /** The digests of all that `signed` has. */
  digests(modelKey: string): string[] {
    return this.#directoriesOf(modelKey).flatMap((directory) => directory.digests())
  }

  /** Whether this very record is the newest of its peer here. */
  holds({ modelKey, peerId, sequence }: ServerRecord): boolean {
    return this.#directories.get(modelKey)?.get(peerId)?.sequence === sequence
  }

  /** A peer's unexpired records, of whatever models. */
  recordsOf(peerId: string): ServerRecord[] {
    return [...this.#directories.values()].flatMap((directory) => directory.get(peerId) ?? [])
  }

  /** Notes in every directory that a peer has been met or reached. */
  raise(peerId: string, source: RecordSource): void {
    for (const directory of this.#directories.values()) directory.raise(peerId, source)
  }

  /** Notes in every directory that the connection to a peer was lost. */
  markGone(peerId: string): void {
    for (const directory of this.#directories.values()) directory.markGone(peerId)
  }

  /**
   * Calls `listener` when a model becomes known (true) or is forgotten (false). Returns the function that ends this.
   */
  onModel(listener: (modelKey: string, known: boolean) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  #directoriesOf(modelKey: string): Directory[] {
    if (modelKey === '') return [...this.#directories.values()]
    const directory = this.#directories.get(modelKey)
    return directory === undefined ? [] : [directory]
  }

  #create(modelKey: string): Directory {
    const directory = new Directory(modelKey, this.#options)
    this.#directories.set(modelKey, directory)
    this.#arrivals.set(modelKey, ++this.#numArrived)
    for (const listener of this.#listeners) listener(modelKey, true)
    return directory
  }

  /** Whether the sender of a record may make another peer known, and another model. */
  #admits(modelKey: string, bytes: number, { standing, from }: RecordSource): boolean {
    const isOwnOrVouched = standing === STANDING.own || standing === STANDING.vouched
    if (!isOwnOrVouched && !this.#directories.has(modelKey) && !this.#introductions.tryTakeModel(from)) return false
    return standing !== STANDING.heard || this.#introductions.tryTakePeer(from, bytes)
  }

  #makeRoomFor(modelKey: string, bytes: number, source: RecordSource): boolean {
    const { maxModels, maxBytes } = this.#options
    const fits = () =>
      this.numBytes + bytes <= maxBytes &&
      (this.#directories.has(modelKey) || this.#directories.size - this.#held.size < maxModels)
    if (fits()) return true
    for (const directory of this.#directories.values()) directory.forgetObsolete()
    for (const [key, directory] of this.#directories) {
      if (fits()) return true
      if (!this.#held.has(key) && key !== modelKey && directory.records().length === 0) this.#forget(key)
    }
    while (!fits()) {
      const weak = weakest(this.#claims(modelKey), source)
      if (weak === undefined) break
      this.#forget(weak.modelKey)
    }
    // No other model may be forgotten: records of this one go, those first for which the least speaks.
    while (!fits()) if (this.#directories.get(modelKey)?.forgetWeakest(source) !== true) return false
    return true
  }

  /** What speaks for each model that this node does not take part in, except one. */
  #claims(except: string): (Claim & { modelKey: string })[] {
    return [...this.#directories].flatMap(([modelKey, { strongest }]) => {
      if (modelKey === except || this.#held.has(modelKey) || strongest === undefined) return []
      const { standing, host } = strongest
      return [{ modelKey, standing, host, arrival: this.#arrivals.get(modelKey)! }]
    })
  }

  #forget(modelKey: string): void {
    this.#directories.delete(modelKey)
    this.#arrivals.delete(modelKey)
    for (const listener of this.#listeners) listener(modelKey, false)
  }
}
