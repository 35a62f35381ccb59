/** The part of a text that may be shown. */
export interface Filtered {
  readonly text: string
  /** The stop string that is complete, if one is: the text ends before it. */
  readonly stop: string | undefined
}

/**
 * Cuts a text that arrives in pieces before the first stop string to be completed; if several end at the same place,
 * before the longest. The output depends only on the text, not on how it is divided into pieces. Text that may be the
 * beginning of a stop string is held back until that is decided.
 */
export class StopStringFilter {
  readonly #stops: readonly string[]
  #held = ''
  #stop: string | undefined

  /** `stops` must not contain an empty string. Without stop strings everything passes. */
  constructor(stops: readonly string[]) {
    this.#stops = stops
  }

  /** Takes the next piece; returns the text that can be shown now. After a stop string, nothing more. */
  push(text: string): Filtered {
    if (this.#stop !== undefined) return { text: '', stop: this.#stop }
    const pending = this.#held + text
    const first = this.#firstStop(pending)
    this.#stop = first?.stop
    const end = first?.start ?? pending.length - this.#heldLength(pending)
    this.#held = first === undefined ? pending.slice(end) : ''
    return { text: pending.slice(0, end), stop: this.#stop }
  }

  /** At the end of the text: returns what was held back. */
  flush(): string {
    const held = this.#held
    this.#held = ''
    return held
  }

  #firstStop(text: string): { readonly start: number; readonly stop: string } | undefined {
    let first: { start: number; end: number; stop: string } | undefined
    for (const stop of this.#stops) {
      const start = text.indexOf(stop)
      if (start === -1) continue
      const end = start + stop.length
      if (first === undefined || end < first.end || (end === first.end && start < first.start))
        first = { start, end, stop }
    }
    return first
  }

  /** The length of the longest suffix of the text with which some stop string begins. */
  #heldLength(text: string): number {
    const longest = this.#stops.reduce((length, stop) => Math.max(length, stop.length), 0)
    for (let length = Math.min(longest - 1, text.length); length > 0; length--) {
      const end = text.slice(-length)
      if (this.#stops.some((stop) => stop.startsWith(end))) return length
    }
    return 0
  }
}
