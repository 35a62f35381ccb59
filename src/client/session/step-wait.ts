import type { Answer } from '../../swarm/frames/messages.ts'
import type { Tensor } from '../../tensor/tensor.ts'
import type { RemoteSession } from './remote-session.ts'

/** Waits for the output of the step under way. */
export class StepWait {
  readonly epoch: number
  readonly step: number
  /** The server that sends the output. */
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
    // The caller gets the rejection; if the chain breaks before the caller awaits it, it must not count as unhandled.
    promise.catch(() => undefined)
  }

  /** Whether the output has come or the step has failed. */
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
