import { PetalsError } from '../../../base/errors.ts'
import { wrongAnswer } from '../../remote/wrong-answer.ts'
import type { Chain } from '../chain/chain.ts'
import type { RemoteSession } from '../server/remote-session.ts'
import type { SpanInputs } from '../inputs/span-inputs.ts'
import type { StepNumbers } from '../server/step-numbers.ts'

/** How long after a step, at least, copies are pulled; further steps may begin meanwhile. */
const DELAY_MS = 250

/** The least and the most bytes of one pull. */
const MIN_BYTES = 16 << 10
const MAX_BYTES = 256 << 10

/** How many milliseconds longer than an empty one a pull may take: so long may a step have to wait for it. */
const SLOW_MS = 20

/** The time limit for an answer; a server that is not alive is noticed by the next step. */
const ANSWER_TIMEOUT_MS = 600_000

/** What is pulled into, and how far. */
export interface CopySource {
  readonly chain: Chain
  readonly numbers: StepNumbers
  /** Number of tokens that all spans have computed. */
  readonly position: () => number
}

/**
 * Fetches what servers have pushed on: the inputs of the spans behind them, for repairs. Nothing is asked for while a
 * step is under way, and only a little at a time, so that a step hardly ever waits for it.
 */
export class CopyPuller {
  readonly #source: CopySource
  /** Servers that no longer have what is missing: a repair goes back to an earlier span. */
  readonly #outOf = new WeakSet<RemoteSession>()
  #timer: NodeJS.Timeout | undefined
  #isStepping = false
  #isDue = false
  #isPulling = false
  #bytes = MIN_BYTES
  #leastMs = Infinity
  #closed = false

  constructor(source: CopySource) {
    this.#source = source
  }

  /** A step has begun: nothing is pulled while it is under way. */
  stepBegan(): void {
    this.#isStepping = true
  }

  /** A step has ended: what is due is pulled. */
  stepEnded(): void {
    this.#isStepping = false
    if (this.#isDue) void this.#pull()
    else this.#schedule()
  }

  close(): void {
    this.#closed = true
    clearTimeout(this.#timer)
  }

  #schedule(): void {
    if (this.#closed || this.#isPulling || this.#missing() === undefined) return
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined
      if (this.#isStepping) this.#isDue = true
      else void this.#pull()
    }, DELAY_MS)
  }

  /** The next span whose inputs are incomplete, and the server that has sent them on. */
  #missing(): { before: RemoteSession; inputs: SpanInputs } | undefined {
    const { links } = this.#source.chain
    for (const [i, { inputs }] of links.entries()) {
      const before = links[i - 1]
      if (before === undefined || before.remote.lost !== undefined || this.#outOf.has(before.remote)) continue
      if (inputs.until < this.#source.position()) return { before: before.remote, inputs }
    }
    return undefined
  }

  /** Pulls piece after piece, until nothing is missing or a step begins. */
  async #pull(): Promise<void> {
    this.#isDue = false
    if (this.#isPulling) return
    this.#isPulling = true
    for (let next = this.#missing(); next !== undefined && !this.#isStepping && !this.#closed; next = this.#missing()) {
      if (!(await this.#pullOne(next))) this.#outOf.add(next.before)
    }
    this.#isPulling = false
    this.#schedule()
  }

  /** False if the server cannot give what is missing. */
  async #pullOne({ before, inputs }: { before: RemoteSession; inputs: SpanInputs }): Promise<boolean> {
    const { numbers, position: end } = this.#source
    const [epoch, position] = [numbers.epoch, inputs.until]
    const until = Math.min(end(), position + Math.max(1, Math.floor(this.#bytes / before.form.rowBytes)))
    const began = performance.now()
    try {
      const fetched = await before.request({ kind: 'fetch', position, until }, 'fetched', ANSWER_TIMEOUT_MS)
      if (fetched.position !== position || fetched.hidden.shape[0] !== until - position) {
        before.giveUp(wrongAnswer(before.peerId, `outputs of other positions than ${position} to ${until}`))
        return false
      }
      this.#adapt(performance.now() - began)
      if (epoch !== numbers.epoch || inputs.until !== position) return true
      inputs.write(position, fetched.hidden)
      void before.send({ kind: 'ack', until: inputs.until })
      return true
    } catch (error) {
      if (error instanceof PetalsError) return epoch !== numbers.epoch
      throw error
    }
  }

  /** The next pull is twice as large, or half as large where this one held up the link. */
  #adapt(ms: number): void {
    this.#leastMs = Math.min(this.#leastMs, ms)
    const isSlow = ms > this.#leastMs + SLOW_MS
    this.#bytes = Math.min(MAX_BYTES, Math.max(MIN_BYTES, isSlow ? this.#bytes / 2 : this.#bytes * 2))
  }
}
