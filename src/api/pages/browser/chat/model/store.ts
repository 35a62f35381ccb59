import { type Conversation, asRead } from './conversation.ts'

const DATABASE = 'petals-node'
const STORE = 'conversations'

/** Keeps conversations in the browser. Where it lets nothing be kept, they last as long as the page. */
export class ConversationStore {
  readonly #database: IDBDatabase | undefined

  static async open(): Promise<ConversationStore> {
    try {
      const request = indexedDB.open(DATABASE, 1)
      request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: 'id' })
      return new ConversationStore(await done(request))
    } catch {
      return new ConversationStore(undefined)
    }
  }

  private constructor(database: IDBDatabase | undefined) {
    this.#database = database
  }

  get keeps(): boolean {
    return this.#database !== undefined
  }

  /** All conversations, the latest first. */
  async all(): Promise<Conversation[]> {
    const store = this.#store('readonly')
    const all = store === undefined ? [] : ((await done(store.getAll())) as Conversation[])
    return all.map(asRead).sort((a, b) => b.updated - a.updated)
  }

  async put(conversation: Conversation): Promise<void> {
    const store = this.#store('readwrite')
    if (store !== undefined) await done(store.put(conversation))
  }

  async delete(id: string): Promise<void> {
    const store = this.#store('readwrite')
    if (store !== undefined) await done(store.delete(id))
  }

  #store(mode: IDBTransactionMode): IDBObjectStore | undefined {
    return this.#database?.transaction(STORE, mode).objectStore(STORE)
  }
}

function done<T>(request: IDBRequest<T>): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>()
  request.addEventListener('success', () => resolve(request.result))
  request.addEventListener('error', () => reject(request.error))
  return promise
}
