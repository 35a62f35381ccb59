/** What a filter lets through of a text. */
export interface Filtered {
  readonly text: string
  /** A stop string is complete: the text ends before it. */
  readonly stopped: boolean
}

/**
 * Cuts a text that comes in pieces before the first stop string, the one that is complete first; of several that end
 * at the same place, the longest. What comes out depends on the text alone and not on how it is cut into pieces. Text
 * that may be the beginning of a stop string is held back until that is known.
 */
export class StopStringFilter {
  readonly #stops: readonly string[]
  #held = ''
  #stopped = false

  /** `stops`: no empty ones; none at all lets everything through. */
  constructor(stops: readonly string[]) {
    this.#stops = stops
  }

  /** The text that can go out now. After a stop string, nothing any more. */
  push(text: string): Filtered {
    if (this.#stopped) return { text: '', stopped: true }
    const pending = this.#held + text
    const start = this.#firstStop(pending)
    this.#stopped = start !== undefined
    const end = start ?? pending.length - this.#heldLength(pending)
    this.#held = this.#stopped ? '' : pending.slice(end)
    return { text: pending.slice(0, end), stopped: this.#stopped }
  }

  /** At the end of the text: what was held back and has not become a stop string. */
  flush(): string {
    const held = this.#held
    this.#held = ''
    return held
  }

  #firstStop(text: string): number | undefined {
    let first: { start: number; end: number } | undefined
    for (const stop of this.#stops) {
      const start = text.indexOf(stop)
      if (start === -1) continue
      const end = start + stop.length
      if (first === undefined || end < first.end || (end === first.end && start < first.start)) first = { start, end }
    }
    return first?.start
  }

  /** The length of the longest end of the text that some stop string begins with. */
  #heldLength(text: string): number {
    const longest = this.#stops.reduce((length, stop) => Math.max(length, stop.length), 0)
    for (let length = Math.min(longest - 1, text.length); length > 0; length--) {
      const end = text.slice(-length)
      if (this.#stops.some((stop) => stop.startsWith(end))) return length
    }
    return 0
  }
}
