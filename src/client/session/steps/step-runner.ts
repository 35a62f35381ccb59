// Room steps/: hidden states go through all servers of a chain; copies of what they pass on are fetched meanwhile.

import { PetalsError } from '../../../base/errors.ts'
import { RemoteError } from '../../../swarm/frames/remote-error.ts'
import type { Activations } from '../../../tensor/activations.ts'
import type { Tensor } from '../../../tensor/tensor.ts'
import { Chain, type ChainOptions } from '../chain/chain.ts'
import { LateTimer } from './late-timer.ts'
import type { Link } from '../server/link.ts'
import type { RemoteSession, RemoteSessionEvents } from '../server/remote-session.ts'
import type { SpanInputs } from '../inputs/span-inputs.ts'
import { StepNumbers } from '../server/step-numbers.ts'
import { type Piece, StepWait, piecesOf } from '../server/step-wait.ts'
import { type WatchdogOptions, watchLateStep } from '../server/watchdog.ts'
import { pieceTokens } from '../../remote/steps/piece-size.ts'
import { allowedStepMs, expectedStepSeconds } from '../../remote/steps/step-time.ts'
import { wrongAnswer } from '../../remote/wrong-answer.ts'
import type { SwarmAccess } from '../../remote/swarm-access.ts'

/**
 * The most bytes of pieces that may be on their way: all spans have work, and a server reads a repair's requests, which
 * come behind them.
 */
const MAX_BYTES_AHEAD = 6 << 20

/** A step to be sent: inputs [tokens, hidden] of the positions from `position` on. */
export interface Step {
  readonly position: number
  readonly hidden: Tensor
  /** How many of the last rows are wanted, at least 1. */
  readonly rows: number
  readonly signal?: AbortSignal | undefined
}

/** Sends the steps of one session along its chain, one at a time, and receives what comes back. */
export class StepRunner {
  readonly chain: Chain
  readonly numbers = new StepNumbers()
  readonly #watchdog: WatchdogOptions
  readonly #swarm: SwarmAccess
  readonly #late = new LateTimer()
  readonly #onLost: (error: Error) => void
  #wait: StepWait | undefined

  /** `root` holds the inputs of the first block; `onLost` is told of servers that are lost. */
  constructor(swarm: SwarmAccess, options: ChainOptions, root: SpanInputs, onLost: (error: Error) => void) {
    this.#swarm = swarm
    this.#onLost = onLost
    this.#watchdog = options.watchdog
    this.chain = new Chain(swarm, options, this.#events(), root)
  }

  /**
   * Sends a step through all blocks: from server to server where they push, otherwise through the client; a long one in
   * pieces, on which the servers work at the same time. Returns the wanted rows [rows, hidden] of the last block's
   * output, as the last server sent them. Throws `SESSION_LOST` or `SESSION_STALLED` if the chain broke,
   * `StepAbortedError`, and `WIRE_DTYPE`.
   */
  async run({ position, hidden, rows, signal }: Step): Promise<Activations> {
    const { links } = this.chain
    const began = performance.now()
    const sent = await links[0]!.remote.form.encodeOwn(hidden)
    const pieceTokens = this.#pieceTokens(sent)
    if (position === 0) links[0]!.inputs.firstTokens = Math.min(pieceTokens, sent.shape[0]!)
    let input = sent
    for (let first = 0; first < links.length;) {
      let last = first
      while (links[last]!.pushes && last + 1 < links.length) last++
      const isLast = last + 1 === links.length
      const wanted = { position, rows: isLast ? rows : input.shape[0]!, numbers: this.numbers, pieceTokens }
      input = await this.#runSegment(links.slice(first, last + 1), piecesOf(input, wanted), signal)
      first = last + 1
      const next = links[first]
      if (next === undefined) break
      next.inputs.write(position, input)
      void links[last]!.remote.send({ kind: 'ack', until: next.inputs.until })
      input = await next.remote.form.passOn(input)
    }
    this.#observe(sent, performance.now() - began)
    return input
  }

  /** Compares what a decode step took with what the records of its servers let expect. */
  #observe({ shape, data }: Activations, ms: number): void {
    const spans = this.chain.links.map(({ remote }) => remote.span)
    if (shape[0] !== 1) return
    const expected = expectedStepSeconds(spans, { tokens: 1, rowBytes: data.byteLength }, this.#swarm.links)
    if (expected !== undefined)
      this.#swarm.observed?.took(
        spans.map(({ server }) => server.peerId),
        ms / 1000,
        expected,
      )
  }

  async #runSegment(
    links: readonly Link[],
    pieces: readonly Piece[],
    signal: AbortSignal | undefined,
  ): Promise<Activations> {
    const lost = links.find(({ remote }) => remote.lost !== undefined)
    if (lost !== undefined) throw lostError(lost.remote)
    const remotes = links.map(({ remote }) => remote)
    const wait = new StepWait({ epoch: this.numbers.epoch, pieces }, remotes.at(-1)!)
    this.#wait = wait
    // In a repair only some of the chain's servers compute: what they have done does not count as done.
    const abort = (): void =>
      wait.fail(new StepAbortedError(links.length === this.chain.links.length ? wait.tokensDone : 0))
    if (signal?.aborted) abort()
    signal?.addEventListener('abort', abort)
    try {
      this.#late.set(this.#watchdog.lateMs, () => void this.#watch(wait, remotes, rowBytesOf(pieces[0]!.hidden)))
      this.#send(wait, remotes[0]!, pieces).catch((error: Error) => wait.fail(error))
      return await wait.output
    } finally {
      signal?.removeEventListener('abort', abort)
      this.#late.clear()
      this.#wait = undefined
    }
  }

  /** How many tokens a piece has, on all servers alike: the first run of an int8 cache sets its scales. */
  #pieceTokens(hidden: Activations): number {
    const spans = this.chain.links.map(({ remote }) => remote.span)
    return pieceTokens(spans, { tokens: hidden.shape[0]!, rowBytes: rowBytesOf(hidden) }, this.#swarm.links)
  }

  /** Sends pieces one after another, a few of them ahead of the answers. */
  async #send(wait: StepWait, remote: RemoteSession, pieces: readonly Piece[]): Promise<void> {
    const ahead = Math.max(2, Math.floor(MAX_BYTES_AHEAD / pieces[0]!.hidden.data.byteLength))
    for (const [i, piece] of pieces.entries()) {
      if (i >= ahead) await wait.answered(i - ahead + 1)
      if (wait.settled) return
      await remote.send({ kind: 'step', epoch: wait.epoch, push: true, ...piece })
    }
  }

  #watch(wait: StepWait, remotes: readonly RemoteSession[], rowBytes: number): Promise<void> {
    const size = { tokens: wait.tokens, rowBytes }
    const spans = remotes.map(({ span }) => span)
    const allowedMs = allowedStepMs(spans, size, this.#swarm.links, this.#watchdog)
    const onLinkFailed = (before: RemoteSession, after: RemoteSession) =>
      this.chain.neighbours.linkFailed(before, after)
    return watchLateStep({ wait, remotes, allowedMs, onLinkFailed }, this.#watchdog)
  }

  /** Fails the step under way; there must be no further one. */
  close(error: Error): void {
    this.#late.close()
    this.#wait?.fail(error)
  }

  #events(): RemoteSessionEvents {
    return {
      onOutput: (remote, output) => {
        const error = this.#wait?.deliver(remote, output)
        if (error !== undefined) this.#gotOthers(remote, error)
      },
      onStepFailed: (remote, { kind, step, ...fault }) => this.#failStep(remote, kind, step, fault),
      onSent: ({ peerId }, bytes, ms) => this.#swarm.links?.sent(peerId, bytes, ms),
      onLost: (remote, error) => {
        this.#wait?.fail(lostError(remote))
        this.#onLost(error)
      },
    }
  }

  /**
   * The output is of other tokens than were sent. Where another server pushed its input, that one may be to blame; when
   * the client carries it between the two, it shows.
   */
  #gotOthers(remote: RemoteSession, error: Error): void {
    const before = this.chain.links[this.chain.indexOf(remote) - 1]
    if (before === undefined || !before.pushes) return remote.giveUp(error)
    this.chain.neighbours.carryBetween(before.remote, remote)
    this.#wait?.fail(new UnsoundStepError(error.message))
  }

  #failStep(remote: RemoteSession, kind: 'failed' | 'broken', step: number, fault: Fault): void {
    if (!this.#wait?.isOpen(step)) return
    const error = new RemoteError(remote.peerId, fault)
    const { links, neighbours } = this.chain
    const at = this.chain.indexOf(remote)
    const [before, after] = [links[at - 1], links[at + 1]?.remote]
    const isFromClient = before === undefined || !before.pushes
    if (kind === 'failed') remote.giveUp(error)
    else if (OF_INPUTS.has(fault.code)) {
      // The server before may have sent wrong hidden states, or this one may lie. The client carries them between the
      // two from now on and sees which. Those that the client sends itself are right.
      if (isFromClient) remote.giveUp(wrongAnswer(remote.peerId, fault.message))
      else neighbours.carryBetween(before.remote, remote)
    } else if (fault.code === 'SESSION_STEP' && !isFromClient) neighbours.linkFailed(before.remote, remote)
    else if (after !== undefined && fault.code !== 'SESSION_POSITION') neighbours.linkFailed(remote, after)
    this.#wait.fail(new PetalsError('SESSION_LOST', error.message))
  }
}

/** Codes with which a server says that the hidden states that came to it cannot be computed with. */
const OF_INPUTS: ReadonlySet<string> = new Set(['TENSOR_NONFINITE', 'TENSOR_SHAPE'])

/** A step that not all servers were given as it was sent: what they have computed for it must not stay. */
export class UnsoundStepError extends PetalsError {
  constructor(message: string) {
    super('SESSION_LOST', message)
  }
}

/** A step that was ended by its signal, of whose first tokens so many have been computed by all servers. */
export class StepAbortedError extends PetalsError {
  readonly tokensDone: number

  constructor(tokensDone: number) {
    super('SESSION_ABORTED', 'the step was ended by its caller')
    this.tokensDone = tokensDone
  }
}

interface Fault {
  readonly code: string
  readonly message: string
}

function rowBytesOf({ shape, data }: Activations): number {
  return data.byteLength / shape[0]!
}

function lostError(remote: RemoteSession): PetalsError {
  return new PetalsError('SESSION_LOST', `peer ${remote.peerId} was lost: ${remote.lost?.message ?? 'no reason known'}`)
}
