/** What is known of the link to a peer. */
export interface LinkState {
  /** The round trip in milliseconds; undefined while it is not known. */
  readonly rttMs: number | undefined
  readonly bytesPerSecond: number | undefined
}

/** Messages that follow one another within so many milliseconds are one transfer. */
const GAP_MS = 5

/** Transfers of fewer bytes say little of a link's rate: the first window of a stream is taken at once. */
const MIN_BYTES = 3 << 20
const WINDOW_BYTES = 1 << 20

const WEIGHT = 0.3

/** How long a round trip is taken for what it was: it is measured every few seconds, and asked for at every token. */
const RTT_AGE_MS = 500

/** Measures the links that are used: rates from large transfers, round trips from what the node sees. */
export class LinkMeter {
  readonly #rates = new Map<string, number>()
  readonly #transfers = new Map<string, Transfer>()
  readonly #rttMs: (peerId: string) => number | undefined
  readonly #rtts = new Map<string, { readonly ms: number; readonly readAt: number }>()

  /** `rttMs` gives the round trip to a peer, if the node has measured it. */
  constructor(rttMs: (peerId: string) => number | undefined) {
    this.#rttMs = rttMs
  }

  /** What is known of the link to a peer now. */
  of(peerId: string, now = performance.now()): LinkState {
    return { rttMs: this.#recentRtt(peerId, now), bytesPerSecond: this.#rates.get(peerId) }
  }

  #recentRtt(peerId: string, now: number): number | undefined {
    const known = this.#rtts.get(peerId)
    if (known !== undefined && now - known.readAt <= RTT_AGE_MS) return known.ms
    const ms = this.#rttMs(peerId)
    if (ms === undefined) this.#rtts.delete(peerId)
    else this.#rtts.set(peerId, { ms, readAt: now })
    return ms
  }

  /** A message of so many bytes has been taken by the peer's side in so many milliseconds, just now. */
  sent(peerId: string, bytes: number, ms: number, now = performance.now()): void {
    const last = this.#transfers.get(peerId)
    const goesOn = last !== undefined && now - ms - last.endedAt <= GAP_MS
    const transfer = goesOn ? last : { bytes: 0, ms: 0, endedAt: now, rateBefore: this.#rates.get(peerId) }
    transfer.bytes += bytes
    transfer.ms += ms
    transfer.endedAt = now
    this.#transfers.set(peerId, transfer)
    if (transfer.bytes < MIN_BYTES || transfer.ms <= 0) return
    const rate = ((transfer.bytes - WINDOW_BYTES) * 1000) / transfer.ms
    const before = transfer.rateBefore ?? rate
    this.#rates.set(peerId, before + WEIGHT * (rate - before))
  }
}

/** Messages one after another, as one: a long prompt goes in pieces. */
interface Transfer {
  bytes: number
  ms: number
  endedAt: number
  /** The link's rate before it. */
  readonly rateBefore: number | undefined
}
