/** What is known of the link to a peer. */
export interface LinkState {
  /** The round trip in milliseconds; undefined while it is not known. */
  readonly rttMs: number | undefined
  readonly bytesPerSecond: number | undefined
}

/** Transfers of fewer bytes say little of a link's rate: the first window of a stream is taken at once. */
const MIN_BYTES = 3 << 20
const WINDOW_BYTES = 1 << 20

const WEIGHT = 0.3

/** Measures the links that are used: rates from large transfers, round trips from what the node sees. */
export class LinkMeter {
  readonly #rates = new Map<string, number>()
  readonly #rttMs: (peerId: string) => number | undefined

  /** `rttMs` gives the round trip to a peer, if the node has measured it. */
  constructor(rttMs: (peerId: string) => number | undefined) {
    this.#rttMs = rttMs
  }

  of(peerId: string): LinkState {
    return { rttMs: this.#rttMs(peerId), bytesPerSecond: this.#rates.get(peerId) }
  }

  /** A message of so many bytes has been taken by the peer's side in so many milliseconds. */
  sent(peerId: string, bytes: number, ms: number): void {
    if (bytes < MIN_BYTES || ms <= 0) return
    const rate = ((bytes - WINDOW_BYTES) * 1000) / ms
    const before = this.#rates.get(peerId)
    this.#rates.set(peerId, before === undefined ? rate : before + WEIGHT * (rate - before))
  }
}
