import { Directory } from './directory.ts'
import type { RecordVerifier } from './record.ts'

export interface RecordStoreOptions {
  verifier: RecordVerifier
  now?: () => number
  /** Models beside those that this node takes part in itself. */
  maxModels?: number
  maxBytes?: number
}

/** A bootstrap node of a public swarm knows tens of models; each costs it a gossip topic. */
const MAX_MODELS = 64
const MAX_BYTES = 64 << 20

/** The directories of all models that a node has heard of, so that any node can answer who serves what. */
export class RecordStore {
  readonly #options: Required<RecordStoreOptions>
  /** Least recently changed first. */
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

  /** The directory of a model that this node takes part in; it is kept until all holders have released it. */
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
   * Verifies and keeps a record of any model. False if it is not news, or there is no room. Throws like `verifyRecord`.
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

  /** All unexpired signed records of one model, or of all with the empty key. */
  signed(modelKey: string): Uint8Array[] {
    if (modelKey !== '') return this.#directories.get(modelKey)?.signed() ?? []
    return [...this.#directories.values()].flatMap((directory) => directory.signed())
  }

  /** Marks a disconnected peer in every directory. */
  markGone(peerId: string): void {
    for (const directory of this.#directories.values()) directory.markGone(peerId)
  }

  /** Calls `listener` when a model becomes known (true) or is forgotten (false). */
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
