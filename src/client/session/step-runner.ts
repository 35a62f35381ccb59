import { PetalsError } from '../../base/errors.ts'
import { RemoteError } from '../../swarm/frames/remote-error.ts'
import type { Tensor } from '../../tensor/tensor.ts'
import { Chain, type ChainOptions, type Link, type SwarmAccess } from './chain.ts'
import type { InputLog } from './input-log.ts'
import { LateTimer } from './late-timer.ts'
import type { RemoteSession, RemoteSessionEvents } from './remote-session.ts'
import { StepWait } from './step-wait.ts'
import { type WatchdogOptions, watchLateStep } from './watchdog.ts'

/** Sends the steps of one session along its chain, one at a time, and receives what comes back. */
export class StepRunner {
  readonly chain: Chain
  /** The current epoch; what servers send from an older one is ignored. */
  epoch = 1
  readonly #watchdog: WatchdogOptions
  readonly #late = new LateTimer()
  #wait: StepWait | undefined

  /** `root` holds the inputs of the first block. */
  constructor(swarm: SwarmAccess, options: ChainOptions & { readonly watchdog: WatchdogOptions }, root: InputLog) {
    this.#watchdog = options.watchdog
    this.chain = new Chain(swarm, options, this.#events(), root)
  }

  /**
   * Sends `hidden` through all blocks: from server to server where they push, otherwise through the client. Returns the
   * last block's output. Throws `SESSION_LOST` or `SESSION_STALLED` if the chain broke.
   */
  async run(step: number, position: number, hidden: Tensor): Promise<Tensor> {
    const { links } = this.chain
    let input = hidden
    for (let first = 0; first < links.length;) {
      let last = first
      while (links[last]!.pushes && last + 1 < links.length) last++
      input = await this.#runSegment(step, position, links.slice(first, last + 1), input)
      first = last + 1
      links[first]?.inputs.write(position, input)
    }
    return input
  }

  async #runSegment(step: number, position: number, links: readonly Link[], input: Tensor): Promise<Tensor> {
    const lost = links.find(({ remote }) => remote.lost !== undefined)
    if (lost !== undefined) throw lostError(lost.remote)
    const wait = new StepWait(this.epoch, step, links.at(-1)!.remote)
    this.#wait = wait
    try {
      await links[0]!.remote.send({ kind: 'step', epoch: this.epoch, step, position, push: true, hidden: input })
      // Set only when the step has been sent: a question to the server would wait behind it.
      this.#late.set(this.#watchdog.deadlineMs, () => {
        const remotes = links.map(({ remote }) => remote)
        void watchLateStep(wait, remotes, this.#watchdog)
      })
      return await wait.output
    } finally {
      this.#late.clear()
      this.#wait = undefined
    }
  }

  /** Fails the step under way; there must be no further one. */
  close(error: Error): void {
    this.#late.close()
    this.#wait?.fail(error)
  }

  #events(): RemoteSessionEvents {
    return {
      onOutput: (remote, output) => this.#wait?.deliver(remote, output),
      onCopies: (remote, { epoch, position, hidden }) => {
        const inputs = this.chain.links[this.chain.indexOf(remote) + 1]?.inputs
        if (epoch !== this.epoch) return undefined
        inputs?.write(position, hidden)
        return inputs?.until
      },
      onStepFailed: (remote, { kind, step, ...fault }) => {
        if (step !== this.#wait?.step) return
        const error = new RemoteError(remote.peerId, fault)
        if (kind === 'failed') remote.giveUp(error)
        this.#wait?.fail(new PetalsError('SESSION_LOST', error.message))
      },
      onLost: (remote) => this.#wait?.fail(lostError(remote)),
    }
  }
}

function lostError(remote: RemoteSession): PetalsError {
  return new PetalsError('SESSION_LOST', `peer ${remote.peerId} was lost: ${remote.lost?.message ?? 'no reason known'}`)
}
