/** Clients that wait for nothing are forgotten beyond so many. */
const MAX_CLIENTS = 4096

/**
 * Whose turn it is: the client's that has had the fewest tokens computed. Who comes anew, or comes back, begins level
 * with those that wait, so that nobody can save up turns (start-time fair queueing: Goyal, Vin and Cheng, 1996).
 */
export class ClientShares {
  /** Tokens computed for each client, counted from the level at which it came. */
  readonly #served = new Map<string, number>()
  #level = 0

  /** The client begins to wait for something. */
  join(client: string): void {
    this.#served.set(client, Math.max(this.#served.get(client) ?? 0, this.#level))
    if (this.#served.size <= MAX_CLIENTS) return
    for (const [other, served] of this.#served)
      if (served <= this.#level && other !== client) this.#served.delete(other)
  }

  /** Nobody waits for anything: all are level again, and forgotten. */
  reset(): void {
    this.#served.clear()
    this.#level = 0
  }

  charge(client: string, tokens: number): void {
    this.#served.set(client, this.#servedOf(client) + tokens)
  }

  /** Whether the client has had fewer tokens computed than each of these. */
  isBehind(client: string, others: readonly string[]): boolean {
    return others.every((other) => this.#servedOf(client) < this.#servedOf(other))
  }

  /** The first entry of the client whose turn it is; of no entries `undefined`. Who comes now begins level with it. */
  next<T extends { readonly client: string }>(entries: readonly T[]): T | undefined {
    let chosen: T | undefined
    for (const entry of entries) {
      if (chosen === undefined || this.#servedOf(entry.client) < this.#servedOf(chosen.client)) chosen = entry
    }
    if (chosen !== undefined) this.#level = Math.max(this.#level, this.#servedOf(chosen.client))
    return chosen
  }

  /** As many entries as may go at once, each client's in their order, as if each were charged one token in its turn. */
  take<T extends { readonly client: string }>(entries: readonly T[], count: number): readonly T[] {
    // Who comes now begins level with these.
    this.next(entries)
    if (entries.length <= count) return entries
    const left = Map.groupBy(entries, ({ client }) => client)
    const taken: T[] = []
    const ahead = new Map([...left.keys()].map((client) => [client, this.#servedOf(client)]))
    while (taken.length < count) {
      const [client] = [...ahead].reduce((least, other) => (other[1] < least[1] ? other : least))
      const queue = left.get(client)!
      taken.push(queue.shift()!)
      if (queue.length === 0) ahead.delete(client)
      else ahead.set(client, ahead.get(client)! + 1)
    }
    return taken
  }

  #servedOf(client: string): number {
    return this.#served.get(client) ?? this.#level
  }
}
