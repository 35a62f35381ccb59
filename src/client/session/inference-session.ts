import { EventEmitter } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { PetalsError, errorMessage } from '../../base/errors.ts'
import type { Frame } from '../../swarm/frame.ts'
import { type Tensor, sliceRows, tensor } from '../../tensor/tensor.ts'
import { Chain, type ChainOptions, type Link, type SwarmAccess, isTransient } from './chain.ts'
import { InputLog } from './input-log.ts'
import type { RemoteSession, RemoteSessionEvents } from './remote-session.ts'
import { replay, resumeAll } from './replay.ts'
import { StepWait } from './step-wait.ts'
import { type WatchdogOptions, watchStep } from './watchdog.ts'

export interface InferenceSessionOptions extends ChainOptions {
  /** What the copies of spans' inputs may take; beyond it a replay recomputes from further up. */
  readonly replayMemoryBytes: number
  /** How long a session looks for a way to go on before a step fails. */
  readonly recoveryTimeoutMs: number
  readonly watchdog: WatchdogOptions
}

/** A longer prompt goes in several steps: servers bound their frames. */
const MAX_STEP_BYTES = 16 << 20

export interface Recovery {
  /** Servers given up, by peer id. */
  readonly lost: readonly string[]
  /** From the start of the step that failed, so with the time that it took to notice. */
  readonly seconds: number
  /** Tokens that new servers computed again. */
  readonly replayedTokens: number
  /** What made the step fail. */
  readonly reason: string
}

/**
 * One sequence's KV caches on a chain of servers, as one session. Steps go from server to server; a server that dies,
 * freezes or fails is replaced and its span alone replayed, and the session goes on at the exact position.
 * Events: `route` once a chain stands (first, and after each repair), `recovery` after a repair.
 */
export class InferenceSession extends EventEmitter<{ route: [readonly Link[]], recovery: [Recovery] }> {
  readonly maxLength: number
  readonly #swarm: SwarmAccess
  readonly #options: InferenceSessionOptions
  readonly #chain: Chain
  readonly #root: InputLog
  #position = 0
  #epoch = 1
  #step = 0
  #wait: StepWait | undefined
  #busy = false
  #closed = false

  constructor(swarm: SwarmAccess, options: InferenceSessionOptions) {
    super()
    this.maxLength = options.maxLength
    this.#swarm = swarm
    this.#options = options
    this.#root = new InputLog(options.hiddenSize, options.dtype)
    this.#chain = new Chain(swarm, options, this.#events(), this.#root)
  }

  /** Tokens in the caches. */
  get position(): number {
    return this.#position
  }

  /** Cuts the session back: the next step goes on at `position`. Throws `SESSION_POSITION` for one that lies ahead. */
  set position(position: number) {
    if (!Number.isInteger(position) || position < 0 || position > this.#position) {
      throw new PetalsError('SESSION_POSITION', `position ${position}: the session holds ${this.#position} tokens and can only be cut back`)
    }
    if (this.#busy) throw new PetalsError('SESSION_BUSY', 'the session cannot be cut back while a step is under way')
    if (position === this.#position) return
    // Copies of what is cut off may still be under way; a new epoch makes them stale.
    this.#epoch++
    this.#position = position
    for (const { inputs } of this.#chain.links) inputs.truncate(position)
  }

  /**
   * Sends `hidden` [tokens, hidden] (embeddings) through all blocks; returns the last block's output, same shape.
   * Throws `SESSION_OVERFLOW`, `NO_ROUTE` where no way was found in time, or what a server refused the request with.
   */
  async step(hidden: Tensor): Promise<Tensor> {
    const tokens = hidden.shape[0] ?? 0
    this.#checkStep(hidden, tokens)
    const before = this.#position
    this.#busy = true
    try {
      return await this.#stepInPieces(hidden, tokens)
    } catch (error) {
      // Servers may have done it or not: the next step, with other tokens perhaps, must not take it for done.
      this.#epoch++
      this.#position = before
      throw error
    } finally {
      this.#busy = false
    }
  }

  async #stepInPieces(hidden: Tensor, tokens: number): Promise<Tensor> {
    const rowBytes = hidden.data.byteLength / tokens
    const piece = Math.max(1, Math.floor(MAX_STEP_BYTES / rowBytes))
    if (tokens <= piece) return this.#stepPiece(hidden)
    const output = new Uint8Array(hidden.data.byteLength)
    for (let done = 0; done < tokens; done += piece) {
      const made = await this.#stepPiece(sliceRows(hidden, done, Math.min(tokens, done + piece)))
      output.set(made.data, done * rowBytes)
    }
    return tensor(hidden.dtype, hidden.shape, output)
  }

  async #stepPiece(hidden: Tensor): Promise<Tensor> {
    for (const { inputs } of this.#chain.links) inputs.truncate(this.#position)
    this.#root.truncate(this.#position)
    this.#root.write(this.#position, hidden)
    const output = await this.#tryStep(hidden, hidden.shape[0]!)
    this.#position += hidden.shape[0]!
    this.#boundReplayMemory()
    return output
  }

  /** Gives the caches back. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#wait?.fail(new PetalsError('SESSION_CLOSED', 'the session was closed'))
    await this.#chain.close()
  }

  #checkStep(hidden: Tensor, tokens: number): void {
    const { hiddenSize, dtype } = this.#options
    if (this.#closed) throw new PetalsError('SESSION_CLOSED', 'the session is closed')
    if (this.#busy) throw new PetalsError('SESSION_BUSY', 'a step of this session is still under way')
    if (hidden.shape.length !== 2 || hidden.shape[1] !== hiddenSize || hidden.dtype !== dtype || tokens < 1) {
      throw new PetalsError('TENSOR_SHAPE', `hidden states ${hidden.dtype} [${hidden.shape}]: expected ${dtype} [tokens, ${hiddenSize}]`)
    }
    if (this.#position + tokens > this.maxLength) {
      throw new PetalsError('SESSION_OVERFLOW', `${tokens} tokens at position ${this.#position} do not fit into a session of ` +
        `${this.maxLength} tokens; open it with a larger maxLength`)
    }
  }

  async #tryStep(hidden: Tensor, tokens: number): Promise<Tensor> {
    if (this.#chain.links.length === 0) {
      await this.#patiently(async () => {
        this.#epoch++
        await this.#chain.complete()
        await this.#chain.connect(this.#epoch)
      })
      this.emit('route', this.#chain.links)
    }
    const step = ++this.#step
    const began = performance.now()
    try {
      return await this.#runChain(step, hidden)
    } catch (error) {
      if (this.#closed) throw new PetalsError('SESSION_CLOSED', 'the session was closed')
      if (!isTransient(error)) throw error
      const { output, ...recovery } = await this.#recover(step, tokens)
      this.emit('recovery', { ...recovery, seconds: (performance.now() - began) / 1000, reason: errorMessage(error) })
      return output
    }
  }

  /** Server to server where they push, through the client where they do not. */
  async #runChain(step: number, hidden: Tensor): Promise<Tensor> {
    const { links } = this.#chain
    let input = hidden
    for (let first = 0; first < links.length;) {
      let last = first
      while (links[last]!.pushes && last + 1 < links.length) last++
      input = await this.#runSegment(step, links.slice(first, last + 1), input)
      first = last + 1
      links[first]?.inputs.write(this.#position, input)
    }
    return input
  }

  async #runSegment(step: number, links: readonly Link[], input: Tensor): Promise<Tensor> {
    const lost = links.find(({ remote }) => remote.lost !== undefined)
    if (lost !== undefined) throw lostError(lost.remote)
    const wait = new StepWait(this.#epoch, step, links.at(-1)!.remote)
    this.#wait = wait
    try {
      const header = { kind: 'step', epoch: this.#epoch, step, position: this.#position, push: true }
      await links[0]!.remote.send({ header, tensors: [input] })
      return await watchStep(wait.output, links.map(({ remote }) => remote), step, this.#options.watchdog)
    } finally {
      this.#wait = undefined
    }
  }

  /** Mends the chain, replays what a new server lacks, and gives the output of the step that failed. */
  async #recover(failedStep: number, tokens: number): Promise<{ output: Tensor, lost: string[], replayedTokens: number }> {
    const lost = new Set<string>()
    let replayedTokens = 0
    const output = await this.#patiently(async () => {
      await this.#chain.complete(({ peerId }) => {
        lost.add(peerId)
        this.#swarm.avoid(peerId)
      })
      replayedTokens = 0
      const context = {
        chain: this.#chain, epoch: ++this.#epoch, settled: this.#position, target: this.#position + tokens, failedStep,
        nextStep: () => ++this.#step, watchdog: this.#options.watchdog, onReplay: (count: number) => { replayedTokens += count },
      }
      const held = await resumeAll(context)
      await this.#chain.connect(this.#epoch)
      this.emit('route', this.#chain.links)
      return replay(context, held)
    })
    return { output, lost: [...lost], replayedTokens }
  }

  /** Tries until it works, for as long as a recovery may take: servers come and go. */
  async #patiently<T>(attempt: () => Promise<T>): Promise<T> {
    const giveUpAt = performance.now() + this.#options.recoveryTimeoutMs
    for (let delayMs = 100; ; delayMs = Math.min(delayMs * 2, 2000)) {
      if (this.#closed) throw new PetalsError('SESSION_CLOSED', 'the session was closed')
      try {
        return await attempt()
      } catch (error) {
        if (!isTransient(error) || performance.now() + delayMs > giveUpAt) throw error
      }
      await this.#swarm.refresh()
      await sleep(delayMs)
    }
  }

  #events(): RemoteSessionEvents {
    return {
      onOutput: (remote, frame: Frame) => this.#wait?.deliver(remote, frame),
      onCopies: (remote, { header, tensors }) => {
        const inputs = this.#chain.links[this.#chain.indexOf(remote) + 1]?.inputs
        if (header.epoch !== this.#epoch) return undefined
        inputs?.write(header.position ?? 0, tensors[0]!)
        return inputs?.until
      },
      onStepFailed: (remote, { kind, step, fault }) => {
        if (step !== this.#wait?.step) return
        const error = new PetalsError(fault?.code ?? 'REMOTE', `peer ${remote.peerId}: ${fault?.message ?? 'no reason given'}`)
        if (kind === 'failed') remote.giveUp(error)
        this.#wait?.fail(new PetalsError('SESSION_LOST', error.message))
      },
      onLost: (remote) => this.#wait?.fail(lostError(remote)),
    }
  }

  #boundReplayMemory(): void {
    const logs = this.#chain.links.slice(1).map(({ inputs }) => inputs)
    let bytes = logs.reduce((sum, log) => sum + log.bytes, 0)
    for (const log of logs.toReversed()) {
      if (bytes <= this.#options.replayMemoryBytes) return
      bytes -= log.bytes
      log.drop()
    }
  }
}

function lostError(remote: RemoteSession): PetalsError {
  return new PetalsError('SESSION_LOST', `peer ${remote.peerId} was lost: ${remote.lost?.message ?? 'no reason known'}`)
}
