import { orAborted } from '../../base/abort.ts'
import type { RouteSpan } from '../remote/routes/route-request.ts'
import { Slowdowns } from '../remote/seen/slowdowns.ts'

/** Pieces that one server is sent at a time: one that it computes, and one that is on its way meanwhile. */
const MAX_UNDER_WAY = 2

/**
 * The weight of a pass in what is observed of a server: more than that of a step, in which others took part as well.
 */
const OBSERVED_WEIGHT = 0.3

/** A place among the pieces that a server computes; `leave` must be called. */
export interface Turn {
  /** Seconds of this client's own work that were before it when it began. */
  readonly secondsAhead: number
  /** Gives the place to the next piece. */
  leave(): void
}

/** A piece for a server. */
interface Piece {
  readonly span: RouteSpan
  /** How long it takes there. */
  readonly seconds: number
  /** Whether another server will do as well. */
  readonly isMovable: boolean
}

/** A piece that waits for its turn. */
interface Waiting extends Piece {
  /** Gives it the turn; without one it chooses its server again. */
  settle(turn: Turn | undefined): void
}

/** What one server was given. */
interface Lane {
  numUnderWay: number
  secondsUnderWay: number
  readonly waiting: Waiting[]
}

/**
 * What pieces of passes this client has given to which server. Each piece goes where it would be done first; a server
 * that has nothing left takes one over that waits for another, so that servers get as much as they compute, even where
 * their figures are wrong.
 */
export class PassLanes {
  readonly #lanes = new Map<string, Lane>()
  /** How many times as long as expected servers took for passes. */
  readonly observed = new Slowdowns(OBSERVED_WEIGHT)
  #choosing: Promise<unknown> = Promise.resolve()

  /** Seconds of work that each server has been given and not done yet, by peer id. */
  get seconds(): ReadonlyMap<string, number> {
    return new Map([...this.#lanes].map(([peerId, lane]) => [peerId, secondsOf(lane)]))
  }

  /** Pieces under way or waiting, on all servers together. */
  get numPieces(): number {
    return [...this.#lanes.values()].reduce((sum, { numUnderWay, waiting }) => sum + numUnderWay + waiting.length, 0)
  }

  /**
   * Chooses a server and waits for the turn there. Choices are made one after another, so that each knows of those
   * before it; `estimate` says how many seconds the piece takes on the chosen one. Throws what `choose` throws, and the
   * signal's reason.
   */
  async enter(
    choose: () => Promise<RouteSpan>,
    estimate: (span: RouteSpan) => number,
    signal: AbortSignal,
  ): Promise<{ span: RouteSpan; turn: Turn }> {
    for (;;) {
      const { span, waited } = await this.#oneAtATime(signal, async () => {
        const span = await orAborted(choose(), signal)
        return { span, waited: this.#wait({ span, seconds: estimate(span), isMovable: true }, signal) }
      })
      const turn = await waited
      if (turn !== undefined) return { span, turn }
    }
  }

  /** Waits for the turn at this very server. Undefined if it failed meanwhile. Throws the signal's reason. */
  async enterAt(span: RouteSpan, seconds: number, signal: AbortSignal): Promise<Turn | undefined> {
    signal.throwIfAborted()
    return await this.#wait({ span, seconds, isMovable: false }, signal)
  }

  /** A server has failed: what waits for it goes elsewhere. */
  failed(peerId: string): void {
    for (const waiting of this.#lanes.get(peerId)?.waiting.splice(0) ?? []) waiting.settle(undefined)
    this.#tidy(peerId)
  }

  async #oneAtATime<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    const before = this.#choosing
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#choosing = before.then(() => promise)
    try {
      await orAborted(before, signal)
      return await work()
    } finally {
      resolve()
    }
  }

  /** Waits for a piece's turn at its server; undefined if that failed meanwhile. */
  async #wait(piece: Piece, signal: AbortSignal): Promise<Turn | undefined> {
    const { span, seconds } = piece
    const { peerId } = span.server
    const lane = this.#lanes.get(peerId) ?? { numUnderWay: 0, secondsUnderWay: 0, waiting: [] }
    this.#lanes.set(peerId, lane)
    if (lane.numUnderWay < MAX_UNDER_WAY && lane.waiting.length === 0) return this.#begin(lane, span, seconds)
    const { promise, resolve, reject } = Promise.withResolvers<Turn | undefined>()
    const waiting: Waiting = { ...piece, settle: resolve }
    lane.waiting.push(waiting)
    const onAbort = (): void => {
      const at = lane.waiting.indexOf(waiting)
      if (at >= 0) lane.waiting.splice(at, 1)
      this.#tidy(peerId)
      reject(signal.reason as Error)
    }
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      return await promise
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
  }

  #begin(lane: Lane, span: RouteSpan, seconds: number): Turn {
    const secondsAhead = lane.secondsUnderWay
    lane.numUnderWay += 1
    lane.secondsUnderWay += seconds
    let isOver = false
    const leave = (): void => {
      if (isOver) return
      isOver = true
      lane.numUnderWay -= 1
      lane.secondsUnderWay = lane.numUnderWay === 0 ? 0 : lane.secondsUnderWay - seconds
      this.#next(lane, span)
    }
    return { secondsAhead, leave }
  }

  /** A place has become free: for the next piece that waits for it, else for one that waits for another server. */
  #next(lane: Lane, free: RouteSpan): void {
    const next = lane.waiting.shift()
    if (next !== undefined) return next.settle(this.#begin(lane, next.span, next.seconds))
    this.#lastOf(free)?.settle(undefined)
    this.#tidy(free.server.peerId)
  }

  /** Takes the piece that would wait longest out of those that a free server could compute. */
  #lastOf({ server: free }: RouteSpan): Waiting | undefined {
    let longest: { lane: Lane; at: number } | undefined
    for (const lane of this.#lanes.values()) {
      const at = lane.waiting.findLastIndex(
        ({ span: { start }, isMovable }) => isMovable && free.start <= start && start < free.end,
      )
      if (at >= 0 && secondsOf(lane) > (longest === undefined ? 0 : secondsOf(longest.lane))) longest = { lane, at }
    }
    return longest?.lane.waiting.splice(longest.at, 1)[0]
  }

  /** Forgets a server that has nothing to do. */
  #tidy(peerId: string): void {
    const lane = this.#lanes.get(peerId)
    if (lane !== undefined && lane.numUnderWay === 0 && lane.waiting.length === 0) this.#lanes.delete(peerId)
  }
}

function secondsOf({ secondsUnderWay, waiting }: Lane): number {
  return waiting.reduce((sum, { seconds }) => sum + seconds, secondsUnderWay)
}
