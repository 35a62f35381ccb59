import type { ByteBudget } from '../byte-budget.ts'
import { SwarmError } from '../errors.ts'
import { FRAME_BYTES_PER_SECOND, FRAME_STALL_MS, ROOM_WAIT_MS } from '../limits.ts'
import type { RateLimit } from '../rate-limit.ts'
import type { Hold } from './frame-inbox.ts'

/** What counts the frames of served streams: their bytes, and how many come. */
export interface IntakeBudgets {
  readonly bytes: ByteBudget
  readonly requests: RateLimit
}

/** What a message without payload holds: nothing. */
const FREE: Hold = { begin: () => undefined, end: () => undefined }

interface IntakeListener {
  /** Reading may go on. */
  readonly goOn: () => void
  /** The stream has to end. */
  readonly refuse: (error: SwarmError) => void
}

/** A payload that was paid for. */
interface Paid {
  readonly payer: string
  readonly bytes: number
  isWorkedOn: boolean
}

/**
 * When a stream may be read, as far as its peer's budgets say: a frame's payload is paid for before it is collected, by
 * a wait where there is no room; and half a frame has a deadline. Without budgets, on the side that asked, only the
 * deadline counts.
 */
export class FrameIntake {
  /** Whose budget is used. */
  payer: string
  readonly #budgets: IntakeBudgets | undefined
  readonly #listener: IntakeListener
  /** What ends the wait for room, or until the peer may send more. */
  #endWait: (() => void) | undefined
  #frameTimer: NodeJS.Timeout | undefined
  /** The payload that is being collected. */
  #arriving: Paid | undefined
  /** Payloads that were delivered and count until the stream is over, or as long as somebody works on them. */
  readonly #kept = new Set<Paid>()
  #isClosed = false

  constructor(peerId: string, budgets: IntakeBudgets | undefined, listener: IntakeListener) {
    this.payer = peerId
    this.#budgets = budgets
    this.#listener = listener
  }

  /** Whether this is the side that serves. */
  get isCounting(): boolean {
    return this.#budgets !== undefined
  }

  get isWaiting(): boolean {
    return this.#endWait !== undefined
  }

  /**
   * Whether a payload may be collected now; if not, `onAdmitted` is called before reading goes on. It counts as its
   * `payloadBytes` and as the `unpackedBytes` that it takes besides when it is used.
   */
  admit(payloadBytes: number, unpackedBytes: number, onAdmitted: () => void): boolean {
    const budget = this.#budgets?.bytes
    if (budget === undefined || this.#isClosed) return true
    const { payer } = this
    const most = Math.max(payloadBytes, unpackedBytes)
    if (most > budget.perPeer)
      throw new SwarmError('SWARM_FRAME', `a payload of ${most} bytes: a peer may take ${budget.perPeer} of this node`)
    // A payload that takes all a peer may have, packed or unpacked, is let in where nothing else is held, although both
    // forms together are more for a moment.
    const bytes = Math.min(payloadBytes + unpackedBytes, budget.perPeer)
    if (budget.tryTake(payer, bytes)) {
      this.#arriving = { payer, bytes, isWorkedOn: false }
      return true
    }
    const cancel = budget.wait(payer, bytes, () => {
      this.#arriving = { payer, bytes, isWorkedOn: false }
      onAdmitted()
      this.#waitOver()
    })
    const timer = setTimeout(() => {
      const held = `peer ${payer} holds ${budget.heldBy(payer)} bytes here, all peers ${budget.bytes}`
      this.#listener.refuse(new SwarmError('SWARM_BUSY', `there was no room for ${bytes} bytes more: ${held}`))
    }, ROOM_WAIT_MS)
    this.#endWait = () => {
      cancel()
      clearTimeout(timer)
    }
    return false
  }

  /** A frame is complete; returns what says how long its payload counts. */
  arrived(): Hold {
    clearTimeout(this.#frameTimer)
    this.#frameTimer = undefined
    this.#pace()
    const kept = this.#arriving
    this.#arriving = undefined
    if (kept === undefined) return FREE
    this.#kept.add(kept)
    const begin = (): void => {
      kept.isWorkedOn = true
    }
    return { begin, end: () => this.#giveBack(kept) }
  }

  /** What was received until now is counted elsewhere. */
  release(): void {
    for (const paid of this.#kept) if (!paid.isWorkedOn) this.#giveBack(paid)
  }

  /** Others have their turn of the event loop before reading goes on. */
  yield(): void {
    if (this.isWaiting || this.#isClosed) return
    const turn = setImmediate(() => this.#waitOver())
    this.#endWait = () => clearImmediate(turn)
  }

  /** Sets the deadline of half a frame. It does not run while the peer is not read. */
  watch(isMidFrame: boolean, payloadBytes: number): void {
    if (!isMidFrame || this.isWaiting || this.#isClosed) {
      clearTimeout(this.#frameTimer)
      this.#frameTimer = undefined
      return
    }
    const withinMs = FRAME_STALL_MS + (payloadBytes * 1000) / FRAME_BYTES_PER_SECOND
    this.#frameTimer ??= setTimeout(() => {
      const seconds = Math.round(withinMs / 1000)
      this.#listener.refuse(new SwarmError('SWARM_TIMEOUT', `a frame was not complete within ${seconds} s`))
    }, withinMs)
  }

  /** The stream is over: whatever nobody is working on is given back. */
  close(): void {
    this.#endWait?.()
    this.#endWait = undefined
    clearTimeout(this.#frameTimer)
    this.#isClosed = true
    if (this.#arriving !== undefined) this.#kept.add(this.#arriving)
    this.#arriving = undefined
    this.release()
  }

  #giveBack(paid: Paid): void {
    if (this.#kept.delete(paid)) this.#budgets!.bytes.give(paid.payer, paid.bytes)
  }

  /** Counts a frame; where the peer has sent too many, the next one waits. */
  #pace(): void {
    const waitMs = this.#budgets?.requests.spend(this.payer, 1) ?? 0
    if (waitMs <= 0 || this.isWaiting || this.#isClosed) return
    const timer = setTimeout(() => this.#waitOver(), waitMs)
    this.#endWait = () => clearTimeout(timer)
  }

  #waitOver(): void {
    this.#endWait?.()
    this.#endWait = undefined
    this.#listener.goOn()
  }
}
