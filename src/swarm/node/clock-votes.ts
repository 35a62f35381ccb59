import type { SwarmLogger } from '../logger.ts'

/**
 * The difference of two clocks that records bear: a record lives 75 s and is renewed every 30 s, so a reader whose
 * clock is further ahead sees it expire before the next one comes.
 */
export const MAX_CLOCK_OFFSET_MS = 45_000

const MAX_PEERS = 64
/** The same verdict is told again after this time. */
const REPEAT_MS = 10 * 60_000

/** Whose clock is off, and by how much. */
export interface ClockVerdict {
  /** `unknown`: there are not more peers on one side than on the other. */
  readonly whose: 'own' | 'peer' | 'unknown'
  /** How far the clock of the peers below is ahead of this machine's, in milliseconds; negative: behind. */
  readonly aheadMs: number
  /** The peers whose clocks differ from this machine's by about that. */
  readonly peerIds: readonly string[]
  /** All peers whose clocks are known. */
  readonly numPeers: number
}

/**
 * What peers' clocks say of this machine's. A clock that is off makes records look expired or not yet issued, and
 * nobody sees why; whose it is follows from how many agree.
 */
export class ClockVotes {
  readonly #logger: SwarmLogger
  /** By peer id, how far its clock is ahead of ours; the latest last. */
  readonly #aheadMs = new Map<string, number>()
  #told = { text: '', atMs: -Infinity }

  constructor(logger: SwarmLogger) {
    this.#logger = logger
  }

  /** Notes how far a peer's clock is ahead of this machine's; warns if one of the two is off. */
  observe(peerId: string, aheadMs: number): void {
    this.#aheadMs.delete(peerId)
    this.#aheadMs.set(peerId, aheadMs)
    const oldest = this.#aheadMs.keys().next()
    if (this.#aheadMs.size > MAX_PEERS && !oldest.done) this.#aheadMs.delete(oldest.value)
    const verdict = this.verdict()
    if (verdict === undefined) return
    const text = clockText(verdict)
    const now = performance.now()
    // The seconds vary from one question to the next.
    const same = text.replaceAll(/\d+ s/g, '') === this.#told.text.replaceAll(/\d+ s/g, '')
    if (same && now - this.#told.atMs < REPEAT_MS) return
    this.#told = { text, atMs: now }
    this.#logger.warn(text)
  }

  /** Undefined while all known clocks agree with this machine's as far as records need. */
  verdict(): ClockVerdict | undefined {
    const votes = [...this.#aheadMs].map(([peerId, aheadMs]) => ({ peerId, aheadMs }))
    const agree = votes.filter(({ aheadMs }) => Math.abs(aheadMs) <= MAX_CLOCK_OFFSET_MS).length
    if (agree === votes.length) return undefined
    const camps = votes
      .filter(({ aheadMs }) => Math.abs(aheadMs) > MAX_CLOCK_OFFSET_MS)
      .map((one) => votes.filter(({ aheadMs }) => Math.abs(aheadMs - one.aheadMs) <= MAX_CLOCK_OFFSET_MS))
    const camp = camps.reduce((largest, other) => (other.length > largest.length ? other : largest))
    const aheadMs = camp.toSorted((a, b) => a.aheadMs - b.aheadMs)[camp.length >> 1]!.aheadMs
    const withUs = agree + 1
    const whose = camp.length > withUs ? 'own' : camp.length < withUs ? 'peer' : 'unknown'
    return { whose, aheadMs, peerIds: camp.map(({ peerId }) => peerId), numPeers: votes.length }
  }
}

/** A verdict as a sentence, with the cure. */
export function clockText({ whose, aheadMs, peerIds, numPeers }: ClockVerdict): string {
  const seconds = `${Math.round(Math.abs(aheadMs) / 1000)} s`
  const peersAre = aheadMs < 0 ? 'behind' : 'ahead of'
  const [first = ''] = peerIds
  const peers = peerIds.length === 1 ? `peer ${first}` : `${peerIds.length} peers (${first}, ...)`
  const cure = 'records of servers look expired, or from the future, until it is set by NTP'
  if (whose === 'own') {
    const ownIs = aheadMs < 0 ? 'ahead of' : 'behind'
    return `the clock of this machine is ${seconds} ${ownIs} those of ${peerIds.length} of ${numPeers} peers: ${cure}`
  }
  if (whose === 'peer') {
    const others = numPeers - peerIds.length
    return (
      `the clock of ${peers} is ${seconds} ${peersAre} those of this machine and ${others} ` +
      `other ${others === 1 ? 'peer' : 'peers'}: ${cure}`
    )
  }
  return `the clock of ${peers} is ${seconds} ${peersAre} that of this machine, and one of the two is off: ${cure}`
}
