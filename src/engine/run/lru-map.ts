/** A bounded map that makes what it lacks and disposes of what was used longest ago. */
export class LruMap<K, V> {
  readonly #limit: number
  readonly #dispose: (value: V) => void
  readonly #values = new Map<K, V>()

  constructor(limit: number, dispose: (value: V) => void) {
    this.#limit = limit
    this.#dispose = dispose
  }

  get size(): number {
    return this.#values.size
  }

  /** The value of `key`, made by `make` where there is none; whatever `make` throws leaves the map as it was. */
  get(key: K, make: () => V): V {
    const known = this.#values.get(key)
    const value = known ?? make()
    this.#values.delete(key)
    this.#values.set(key, value)
    for (const [oldest] of this.#values) {
      if (this.#values.size <= this.#limit) break
      this.delete(oldest)
    }
    return value
  }

  delete(key: K): void {
    const value = this.#values.get(key)
    if (value === undefined) return
    this.#values.delete(key)
    this.#dispose(value)
  }

  clear(): void {
    for (const key of this.#values.keys()) this.delete(key)
  }
}
