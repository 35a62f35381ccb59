import type { Answer } from '../../swarm/frames/messages.ts'
import type { Tensor } from '../../tensor/tensor.ts'
import type { RemoteSession } from './remote-session.ts'

/** Waits for the one output of a step that is under way in the chain. */
export class StepWait {
  readonly epoch: number
  readonly step: number
  /** Whose output it is. */
  readonly from: RemoteSession
  readonly output: Promise<Tensor>
  #settled = false
  readonly #resolve: (output: Tensor) => void
  readonly #reject: (error: Error) => void

  constructor(epoch: number, step: number, from: RemoteSession) {
    const { promise, resolve, reject } = Promise.withResolvers<Tensor>()
    this.epoch = epoch
    this.step = step
    this.from = from
    this.output = promise
    this.#resolve = resolve
    this.#reject = reject
    // Whoever waits sees the rejection; where the chain breaks before anyone does, nobody should be told twice.
    promise.catch(() => undefined)
  }

  /** Whether the output has come, or the chain broke. */
  get settled(): boolean {
    return this.#settled
  }

  deliver(remote: RemoteSession, { epoch, step, hidden }: Extract<Answer<'inference'>, { kind: 'output' }>): void {
    if (remote !== this.from || epoch !== this.epoch || step !== this.step) return
    this.#settled = true
    this.#resolve(hidden)
  }

  fail(error: Error): void {
    this.#settled = true
    this.#reject(error)
  }
}
