import { Directory } from './directory.ts'
import type { RecordVerifier } from './record.ts'

/** How a store verifies and bounds its records. */
export interface RecordStoreOptions {
  verifier: RecordVerifier
  now?: () => number
  /** The most models besides those that this node takes part in. */
  maxModels?: number
  maxBytes?: number
}

/** A bootstrap node of a public swarm knows tens of models; each costs it a gossip topic. */
const MAX_MODELS = 64
const MAX_BYTES = 64 << 20

/** The directories of all models that a node has heard of, so that any node can answer who serves what. */
export class RecordStore {
  readonly #options: Required<RecordStoreOptions>
  /** By model key, least recently changed first. */
  readonly #directories = new Map<string, Directory>()
  readonly #held = new Map<string, Set<object>>()
  readonly #listeners = new Set<(modelKey: string, known: boolean) => void>()

  constructor({ verifier, now = Date.now, maxModels = MAX_MODELS, maxBytes = MAX_BYTES }: RecordStoreOptions) {
    this.#options = { verifier, now, maxModels, maxBytes }
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

  release(modelKey: string, holder: object = this): void {
    const holders = this.#held.get(modelKey)
    if (holders?.delete(holder) && holders.size === 0) this.#held.delete(modelKey)
  }

  /**
   * Verifies and keeps a record of any model. Returns false if it is not new or there is no room. Throws as
   * `verifyRecord`.
   */
  async add(bytes: Uint8Array): Promise<boolean> {
    const record = await this.#options.verifier.verify(bytes, this.#options.now())
    const { modelKey } = record
    if (!this.#makeRoomFor(modelKey, bytes.byteLength)) return false
    const directory = this.#directories.get(modelKey) ?? this.#create(modelKey)
    const isNew = directory.keep(record, bytes)
    if (isNew) {
      this.#directories.delete(modelKey)
      this.#directories.set(modelKey, directory)
    }
    return isNew
  }

  /** All unexpired signed records of a model; with an empty key, of all models. */
  signed(modelKey: string): Uint8Array[] {
    if (modelKey !== '') return this.#directories.get(modelKey)?.signed() ?? []
    return [...this.#directories.values()].flatMap((directory) => directory.signed())
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

  #create(modelKey: string): Directory {
    const directory = new Directory(modelKey, this.#options)
    this.#directories.set(modelKey, directory)
    for (const listener of this.#listeners) listener(modelKey, true)
    return directory
  }

  #makeRoomFor(modelKey: string, bytes: number): boolean {
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
    return fits()
  }

  #forget(modelKey: string): void {
    this.#directories.delete(modelKey)
    for (const listener of this.#listeners) listener(modelKey, false)
  }
}
