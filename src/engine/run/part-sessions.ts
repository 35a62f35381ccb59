/** A session of a part of the span, and who caused it. */
interface Part<S> {
  readonly owner: string
  readonly session: S
}

/**
 * The sessions of a span, made when first needed. Those of the whole span stay. Clients may ask for any part of it, and
 * each part takes memory and seconds to be made: so many stay, and where one more is wanted, whoever has caused most of
 * them gives up the one that was used longest ago. So nobody can push out the parts of others who have fewer.
 */
export class PartSessions<S> {
  readonly #most: number
  readonly #dispose: (session: S) => void
  readonly #whole = new Map<string, S>()
  /** In the order of their last use. */
  readonly #parts = new Map<string, Part<S>>()

  /** At most `most` parts stay. */
  constructor(most: number, dispose: (session: S) => void) {
    this.#most = most
    this.#dispose = dispose
  }

  get size(): number {
    return this.#whole.size + this.#parts.size
  }

  /** That of the whole span in the form `key`; whatever `make` throws leaves all as it was. */
  whole(key: string, make: () => S): S {
    const session = this.#whole.get(key) ?? make()
    this.#whole.set(key, session)
    return session
  }

  /** That of a part, which `owner` asks for. */
  part(key: string, owner: string, make: () => S): S {
    const known = this.#parts.get(key)
    if (known === undefined) this.#makeRoom(owner)
    const part = known ?? { owner, session: make() }
    this.#parts.delete(key)
    this.#parts.set(key, part)
    return part.session
  }

  clear(): void {
    for (const session of this.#whole.values()) this.#dispose(session)
    this.#whole.clear()
    for (const key of this.#parts.keys()) this.#remove(key)
  }

  /** Before the new one is made: there is memory for so many, and not for one more. */
  #makeRoom(owner: string): void {
    if (this.#parts.size < this.#most) return
    const counts = new Map([[owner, 1]])
    for (const part of this.#parts.values()) counts.set(part.owner, (counts.get(part.owner) ?? 0) + 1)
    const most = Math.max(...counts.values())
    const [oldest] = [...this.#parts].find(([, part]) => counts.get(part.owner) === most)!
    this.#remove(oldest)
  }

  #remove(key: string): void {
    const { session } = this.#parts.get(key)!
    this.#parts.delete(key)
    this.#dispose(session)
  }
}
