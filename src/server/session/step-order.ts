/**
 * How far epochs and numbers of steps may run ahead of what this server has seen. A repair numbers steps that go to
 * other servers; nobody honest comes near this, and a peer that jumps beyond could make all later steps look old.
 */
const MAX_JUMP = 1 << 20

/** What orders steps: they are numbered, and belong to an epoch; a new one begins with each repair. */
interface StepNumber {
  readonly epoch: number
  readonly step: number
}

/** Which steps of a session this server has received and computed, and so which one may come next. */
export class StepOrder {
  #epoch = 0
  #received = 0
  #completed = 0

  get epoch(): number {
    return this.#epoch
  }

  /** The newest step that has come. */
  get received(): number {
    return this.#received
  }

  /** The last step that was computed. */
  get completed(): number {
    return this.#completed
  }

  /** Whether a step's number cannot be an honest one. */
  isTooFarAhead({ epoch, step }: StepNumber): boolean {
    return epoch > this.#epoch + MAX_JUMP || step > this.#received + MAX_JUMP
  }

  /** Whether a step is of an older epoch, or was computed before. */
  isPast({ epoch, step }: StepNumber): boolean {
    return epoch < this.#epoch || (epoch === this.#epoch && step <= this.#completed)
  }

  /** Notes that a step has come. */
  receive(step: number): void {
    this.#received = Math.max(this.#received, step)
  }

  /** Notes that a step was computed. */
  complete({ epoch, step }: StepNumber): void {
    this.#epoch = epoch
    this.#completed = step
  }

  /** Begins an epoch, whose steps come after number `after`. */
  beginEpoch(epoch: number, after: number): void {
    this.#epoch = epoch
    this.receive(after)
  }
}
