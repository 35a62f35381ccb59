/**
 * The numbers by which servers tell a session's steps apart. Steps are counted, each piece of one by itself, and belong
 * to an epoch: a new one begins where something that servers were sent, or still send, must no longer count.
 */
export class StepNumbers {
  #epoch = 1
  #last = 0

  /** The current epoch; what servers send from an older one is ignored. */
  get epoch(): number {
    return this.#epoch
  }

  /** The number that was given last; 0 if none was. */
  get last(): number {
    return this.#last
  }

  /** Gives the next number. */
  next(): number {
    return ++this.#last
  }

  /** Begins a new epoch; returns its number. */
  beginEpoch(): number {
    return ++this.#epoch
  }
}
