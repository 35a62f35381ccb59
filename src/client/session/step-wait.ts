import type { Answer } from '../../swarm/frames/messages.ts'
import type { Tensor } from '../../tensor/tensor.ts'
import { type RemoteSession, wrongAnswer } from './remote-session.ts'

/** Waits for the output of the step under way. */
export class StepWait {
  readonly epoch: number
  readonly step: number
  readonly tokens: number
  /** The server that sends the output. */
  readonly from: RemoteSession
  readonly output: Promise<Tensor>
  #settled = false
  readonly #resolve: (output: Tensor) => void
  readonly #reject: (error: Error) => void

  constructor({ epoch, step, tokens }: Pick<StepWait, 'epoch' | 'step' | 'tokens'>, from: RemoteSession) {
    const { promise, resolve, reject } = Promise.withResolvers<Tensor>()
    this.epoch = epoch
    this.step = step
    this.tokens = tokens
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
    if (hidden.shape[0] !== this.tokens)
      return remote.giveUp(wrongAnswer(remote.peerId, `${hidden.shape[0]} rows for ${this.tokens}`))
    this.#settled = true
    this.#resolve(hidden)
  }

  fail(error: Error): void {
    this.#settled = true
    this.#reject(error)
  }
}
