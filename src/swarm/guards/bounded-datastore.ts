import { MemoryDatastore } from 'datastore-core'

type Key = Parameters<MemoryDatastore['put']>[0]
type PutOptions = Parameters<MemoryDatastore['put']>[2]

/** Prefix of the keys under which the DHT keeps what other peers store. */
const DHT_PREFIX = '/dht'

/**
 * The most bytes that other peers may store here: room for a hundred thousand provider entries, or for a thousand of
 * the largest records.
 */
const MAX_BYTES = 64 << 20
const ENTRY_OVERHEAD_BYTES = 256

/**
 * libp2p's in-memory datastore with a bound on what the DHT keeps for other peers. The DHT never removes values, and
 * anybody may store valid ones without end. The oldest entries are evicted; their owners store them again in time.
 *
 * Values are kept as copies: what comes from the network, or was just encoded, is mostly a few hundred bytes in the
 * middle of 64 KB, all of which would stay with them, for each peer that was ever heard of.
 */
export class BoundedDatastore extends MemoryDatastore {
  readonly #sizes = new Map<string, { key: Key; bytes: number }>()
  readonly #maxBytes: number
  #numBytes = 0

  constructor(maxBytes = MAX_BYTES) {
    super()
    this.#maxBytes = maxBytes
  }

  get numDhtBytes(): number {
    return this.#numBytes
  }

  override put(key: Key, value: Uint8Array, options?: PutOptions): Key | Promise<Key> {
    const name = key.toString()
    if (name.startsWith(DHT_PREFIX)) {
      this.#forget(name)
      const bytes = name.length + value.byteLength + ENTRY_OVERHEAD_BYTES
      this.#sizes.set(name, { key, bytes })
      this.#numBytes += bytes
      this.#evict()
    }
    return super.put(key, new Uint8Array(value), options)
  }

  override delete(key: Key, options?: PutOptions): void | Promise<void> {
    this.#forget(key.toString())
    return super.delete(key, options)
  }

  #forget(name: string): void {
    this.#numBytes -= this.#sizes.get(name)?.bytes ?? 0
    this.#sizes.delete(name)
  }

  #evict(): void {
    for (const { key } of this.#sizes.values()) {
      if (this.#numBytes <= this.#maxBytes) return
      void this.delete(key)
    }
  }
}
