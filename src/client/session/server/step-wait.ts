import type { Answer } from '../../../swarm/frames/messages.ts'
import { type Activations, concatRows } from '../../../tensor/activations.ts'
import { sliceRows } from '../../../tensor/tensor.ts'
import { dueRows, wrongCount, wrongPlace } from './answered-rows.ts'
import type { RemoteSession } from './remote-session.ts'
import type { StepNumbers } from './step-numbers.ts'

type AnswerOf<K extends Answer<'inference'>['kind']> = Extract<Answer<'inference'>, { kind: K }>

/** A part of a step's tokens, which is sent by itself, and how many of its last rows are wanted. */
export interface Piece {
  readonly step: number
  readonly position: number
  readonly hidden: Activations
  readonly rows: number
}

/** How a step is cut: it begins at `position`, and its last `rows` rows are wanted. */
interface PieceOptions {
  readonly position: number
  readonly rows: number
  readonly pieceTokens: number
  /** Gives every piece its number. */
  readonly numbers: StepNumbers
}

/** Cuts a step's inputs [tokens, hidden] into pieces of `pieceTokens` tokens. */
export function piecesOf(hidden: Activations, { position, rows, numbers, pieceTokens }: PieceOptions): Piece[] {
  const [tokens = 0] = hidden.shape
  return Array.from({ length: Math.ceil(tokens / pieceTokens) }, (_, i) => {
    const [from, until] = [i * pieceTokens, Math.min(tokens, (i + 1) * pieceTokens)]
    return {
      step: numbers.next(),
      position: position + from,
      hidden: sliceRows(hidden, from, until),
      rows: Math.min(until - from, Math.max(0, until - (tokens - rows))),
    }
  })
}

/** Waits for the output of the step under way, whose pieces are answered one after another. */
export class StepWait {
  readonly epoch: number
  readonly tokens: number
  /** The server that sends the output. */
  readonly from: RemoteSession
  /** The wanted rows [rows, hidden]. */
  readonly output: Promise<Activations>
  readonly #pieces: readonly Piece[]
  readonly #made: Activations[] = []
  #done = 0
  #settled = false
  #onDone: (() => void) | undefined
  readonly #resolve: (output: Activations) => void
  readonly #reject: (error: Error) => void

  constructor({ epoch, pieces }: { epoch: number; pieces: readonly Piece[] }, from: RemoteSession) {
    const { promise, resolve, reject } = Promise.withResolvers<Activations>()
    this.epoch = epoch
    this.tokens = pieces.reduce((sum, { hidden }) => sum + hidden.shape[0]!, 0)
    this.from = from
    this.output = promise
    this.#pieces = pieces
    this.#resolve = resolve
    this.#reject = reject
    // The caller gets the rejection; if the chain breaks before the caller awaits it, it must not count as unhandled.
    promise.catch(() => undefined)
  }

  /** Tokens of the pieces that have been answered. */
  get tokensDone(): number {
    return this.#pieces.slice(0, this.#done).reduce((sum, { hidden }) => sum + hidden.shape[0]!, 0)
  }

  /** The number of the piece whose answer comes next. */
  get step(): number {
    return this.#pieces[Math.min(this.#done, this.#pieces.length - 1)]!.step
  }

  /** Whether the output has come or the step has failed. */
  get settled(): boolean {
    return this.#settled
  }

  /** Whether this is the number of a piece that has not been answered. */
  isOpen(step: number): boolean {
    return !this.#settled && step >= this.step && step <= this.#pieces.at(-1)!.step
  }

  /** Resolves when so many pieces have been answered, or the step is settled. */
  async answered(count: number): Promise<void> {
    while (this.#done < count && !this.#settled) {
      const { promise, resolve } = Promise.withResolvers<void>()
      this.#onDone = resolve
      await promise
    }
  }

  /** Takes an answer; returns what is wrong with one for other tokens than were sent, which is not taken then. */
  deliver(remote: RemoteSession, answer: AnswerOf<'output' | 'computed'>): Error | undefined {
    if (this.#settled || remote !== this.from || answer.epoch !== this.epoch || answer.step !== this.step) return
    const due = dueRows(this.#pieces[this.#done]!)
    const ownFault = wrongCount(remote.peerId, answer, due)
    if (ownFault !== undefined) {
      remote.giveUp(ownFault)
      return undefined
    }
    const wrong = wrongPlace(remote.peerId, answer, due)
    if (wrong !== undefined) return wrong
    if (answer.kind === 'output') this.#made.push(answer.hidden)
    this.#done += 1
    if (this.#done === this.#pieces.length) {
      this.#settled = true
      this.#resolve(concatRows(this.#made))
    }
    this.#onDone?.()
    return undefined
  }

  /** The step has failed. */
  fail(error: Error): void {
    this.#settled = true
    this.#reject(error)
    this.#onDone?.()
  }
}
