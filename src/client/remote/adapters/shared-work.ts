import { orAborted } from '../../../base/abort.ts'
import { PetalsError } from '../../../base/errors.ts'

/** Work that several wait for. It is given up when nobody does any more. */
export class SharedWork<T> {
  readonly #stop = new AbortController()
  readonly #work: Promise<T>
  readonly #onLost: () => void
  #waiting = 0
  #isDone = false

  /** `onLost` is called when the work fails, or when nobody waits any more for work that is not done. */
  constructor(work: (signal: AbortSignal) => Promise<T>, onLost: () => void) {
    this.#onLost = onLost
    this.#work = work(this.#stop.signal)
    this.#work.then(
      () => {
        this.#isDone = true
      },
      () => {
        this.#isDone = true
        onLost()
      },
    )
  }

  get isDone(): boolean {
    return this.#isDone
  }

  /** Resolves or rejects as the work does, or rejects with the signal's reason. */
  async join(signal?: AbortSignal): Promise<T> {
    this.#waiting += 1
    try {
      return await orAborted(this.#work, signal)
    } finally {
      this.#waiting -= 1
      if (this.#waiting === 0 && !this.#isDone) {
        this.#onLost()
        this.#stop.abort(new PetalsError('SESSION_CLOSED', 'nobody waits for it any more'))
      }
    }
  }
}
