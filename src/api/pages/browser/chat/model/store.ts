import { type Conversation, asRead, merged } from './conversation.ts'

const DATABASE = 'petals-node'
const STORE = 'conversations'

/** What other pages of this browser have done: they are told by a channel of this name. */
export type Change = { readonly id: string; readonly isDeleted: boolean }

/**
 * Keeps conversations in the browser, for all of its pages at once. Where it lets nothing be kept, they last as long as
 * the page.
 */
export class ConversationStore {
  readonly #database: IDBDatabase | undefined
  readonly #others = new BroadcastChannel(DATABASE)

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

  /** Calls `take` whenever another page has written or deleted a conversation. */
  watch(take: (change: Change) => void): void {
    this.#others.addEventListener('message', ({ data }: MessageEvent<Change>) => take(data))
  }

  /** All conversations, the latest first. */
  async all(): Promise<Conversation[]> {
    const store = this.#begin('readonly')
    const all = store === undefined ? [] : ((await done(store.getAll())) as Conversation[])
    return all.map(asRead).sort((a, b) => b.updated - a.updated)
  }

  async get(id: string): Promise<Conversation | undefined> {
    const store = this.#begin('readonly')
    const found = store && ((await done(store.get(id))) as Conversation | undefined)
    return found && asRead(found)
  }

  /** Writes a conversation, with what other pages have added to it. Throws where it cannot be kept. */
  async put(conversation: Conversation): Promise<void> {
    const store = this.#begin('readwrite')
    if (store === undefined) return
    const before = (await done(store.get(conversation.id))) as Conversation | undefined
    store.put(before === undefined ? conversation : merged(before, conversation))
    await committed(store.transaction)
    this.#tell({ id: conversation.id, isDeleted: false })
  }

  /** Writes a conversation as it is, while the page is closed: there is no time to look what others have added. */
  putAtOnce(conversation: Conversation): void {
    const store = this.#begin('readwrite')
    store?.put(conversation)
    store?.transaction.commit()
    this.#tell({ id: conversation.id, isDeleted: false })
  }

  async delete(id: string): Promise<void> {
    const store = this.#begin('readwrite')
    if (store === undefined) return
    store.delete(id)
    await committed(store.transaction)
    this.#tell({ id, isDeleted: true })
  }

  #tell(change: Change): void {
    // A channel has no target: its pages are all of this origin.
    // oxlint-disable-next-line unicorn/require-post-message-target-origin
    this.#others.postMessage(change)
  }

  #begin(mode: IDBTransactionMode): IDBObjectStore | undefined {
    return this.#database?.transaction(STORE, mode).objectStore(STORE)
  }
}

function done<T>(request: IDBRequest<T>): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>()
  request.addEventListener('success', () => resolve(request.result))
  request.addEventListener('error', () => reject(request.error))
  return promise
}

/** Resolves when all of a transaction is on disk: that there is no room for it is known only then. */
function committed(transaction: IDBTransaction): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  transaction.addEventListener('complete', () => resolve())
  transaction.addEventListener('abort', () => reject(transaction.error))
  return promise
}
