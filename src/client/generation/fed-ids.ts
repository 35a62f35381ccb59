/** The ids that a session was fed, as far as they are known: hidden states have none. */
export class FedIds {
  readonly #ids: number[] = []

  /** Notes that after the first `position` tokens `ids` were fed, or hidden states (undefined). */
  record(position: number, ids: readonly number[] | undefined): void {
    if (position > this.#ids.length) return
    this.#ids.length = position
    if (ids !== undefined) for (const id of ids) this.#ids.push(id)
  }

  /** The ids of the first `position` tokens; undefined if some are unknown. */
  upTo(position: number): readonly number[] | undefined {
    return position <= this.#ids.length ? this.#ids.slice(0, position) : undefined
  }
}
