import { type BlockRates, PREFILL_TOKENS, stepSeconds } from '../../swarm/records/rates.ts'

/** The weight of one measurement of decoding against all before it, and of a second of prefills. */
const DECODE_WEIGHT = 0.02
const PREFILL_MEMORY_SECONDS = 30

/**
 * How fast a server computes, and how much waits for it: measured at its start, and kept up to date by the steps of
 * real sessions. Prefills count by the time in which at least one was under way, so that several at a time do not look
 * slow; decode steps as a client sees them.
 */
export class Pace {
  #rates: BlockRates = { prefill: 0, decode: 0 }
  #waitingSeconds = 0
  #numPrefills = 0
  #busySince = 0
  /** Tokens times blocks of prefills, and the seconds that they took, both fading. */
  #work = 0
  #seconds = 0
  readonly #now: () => number

  /** `now` is a clock in milliseconds. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now
  }

  get rates(): BlockRates {
    return this.#rates
  }

  /** How long what has been asked for will take, in milliseconds. */
  get queueMs(): number {
    return Math.round(Math.max(0, this.#waitingSeconds) * 1000)
  }

  /** Begins anew with rates that were measured. */
  reset(rates: BlockRates): void {
    this.#rates = rates
    this.#work = rates.prefill
    this.#seconds = rates.prefill > 0 ? 1 : 0
  }

  /** A step begins to wait. Returns what must be called once when it is done; `done(false)` if it was not computed. */
  begin(tokens: number, numBlocks: number): (computed: boolean) => void {
    const expected = stepSeconds(tokens, numBlocks, this.#rates)
    const began = this.#now()
    this.#waitingSeconds += expected
    const isPrefill = tokens >= PREFILL_TOKENS
    if (isPrefill && this.#numPrefills++ === 0) this.#busySince = began
    return (computed) => {
      this.#waitingSeconds -= expected
      if (isPrefill) this.#endPrefill(computed ? tokens * numBlocks : 0)
      else if (computed && tokens === 1) this.#endDecode(numBlocks, (this.#now() - began) / 1000)
    }
  }

  /**
   * Something that is computed beside sessions begins to wait, as long as a prefill of so many tokens: it says nothing
   * about how fast those are. Returns what must be called once when it is done.
   */
  wait(tokens: number, numBlocks: number): () => void {
    const expected = stepSeconds(Math.max(tokens, PREFILL_TOKENS), numBlocks, this.#rates)
    this.#waitingSeconds += expected
    return () => {
      this.#waitingSeconds -= expected
    }
  }

  #endPrefill(work: number): void {
    const now = this.#now()
    const seconds = (now - this.#busySince) / 1000
    this.#busySince = now
    this.#numPrefills--
    const kept = Math.exp(-seconds / PREFILL_MEMORY_SECONDS)
    this.#work = this.#work * kept + work
    this.#seconds = this.#seconds * kept + seconds
    if (this.#seconds > 0) this.#rates = { ...this.#rates, prefill: this.#work / this.#seconds }
  }

  #endDecode(numBlocks: number, seconds: number): void {
    if (seconds <= 0) return
    const { decode } = this.#rates
    // Mean of the times, not of the rates: a step that was very quick must not outweigh many slow ones.
    const mean = decode > 0 ? (1 - DECODE_WEIGHT) / decode + (DECODE_WEIGHT * seconds) / numBlocks : seconds / numBlocks
    this.#rates = { ...this.#rates, decode: 1 / mean }
  }
}
