import type { Frame } from '../../swarm/frame.ts'
import type { Tensor } from '../../tensor/tensor.ts'

/** Waits for the one output of a step that is under way in the chain. */
export class StepWait {
  readonly epoch: number
  readonly step: number
  readonly output: Promise<Tensor>
  readonly #resolve: (output: Tensor) => void
  readonly #reject: (error: Error) => void

  constructor(epoch: number, step: number) {
    const { promise, resolve, reject } = Promise.withResolvers<Tensor>()
    this.epoch = epoch
    this.step = step
    this.output = promise
    this.#resolve = resolve
    this.#reject = reject
    // Whoever waits sees the rejection; where the chain breaks before anyone does, nobody should be told twice.
    promise.catch(() => undefined)
  }

  deliver({ header, tensors }: Frame): void {
    if (header.epoch === this.epoch && header.step === this.step && tensors[0] !== undefined) this.#resolve(tensors[0])
  }

  fail(error: Error): void {
    this.#reject(error)
  }
}
