import { setTimeout as sleep } from 'node:timers/promises'
import { PetalsError, errorCode, errorMessage } from '../../base/errors.ts'
import type { RequestStream } from '../../swarm/frames/frame-stream.ts'
import type { StepMessage } from '../../swarm/frames/messages.ts'
import type { Activations } from '../../tensor/activations.ts'
import { sliceRows } from '../../tensor/tensor.ts'
import { decodeActivations } from '../../tensor/travel.ts'
import type { OutputLog } from './output-log.ts'
import type { SessionAnswers } from './session-answers.ts'

/** An output of this server's blocks, the last `rows` of which are wanted in the end. */
export type Made = Omit<StepMessage, 'kind'>

/** What outputs are sent with. */
export interface OutputWayModules {
  /** Answers to the client. */
  readonly answers: SessionAnswers
  /** Dials the next server and opens a push stream to its session. */
  readonly openPush: (peerId: string, sessionId: string) => Promise<RequestStream<'push'>>
  /** Keeps what was sent on. */
  readonly outputs: OutputLog
}

/** How long a former next server may take to end its push stream in order; then the stream is aborted. */
const ORDERLY_END_MS = 1000

/** Where one session's outputs go: on to the next server, or to the client. One is sent while the next is computed. */
export class OutputWay {
  readonly #modules: OutputWayModules
  #next: RequestStream<'push'> | undefined
  /** Whether the next server takes packed rows, too. */
  #nextUnpacks = false
  /** Whether the next server was lost: until the client names another one, outputs are kept and not sent on. */
  #nextLost = false
  /** Whether the client carries outputs to the next server; it says what it holds of them. */
  #isCarried = false
  #sending: Promise<void> = Promise.resolve()
  #pushing = 0

  constructor(modules: OutputWayModules) {
    this.#modules = modules
  }

  /** The step whose output is being sent; 0: none. */
  get pushing(): number {
    return this.#pushing
  }

  /** Begins to send an output, once the one before has been taken. Never rejects. */
  async send(made: Made): Promise<void> {
    await this.#sending
    this.#sending = made.push ? this.#pass(made) : this.#answer(made)
  }

  /**
   * Dials the next server, which takes activations in `wireDType`; where it is left out, only as floats. Throws what
   * `openPush` throws; outputs go to the client then.
   */
  async route(peerId: string, sessionId: string, wireDType?: string): Promise<void> {
    this.routeToClient()
    const next = await this.#modules.openPush(peerId, sessionId)
    this.#isCarried = false
    this.#nextUnpacks = wireDType === 'int8'
    this.#next = next
  }

  /** There is no next server any more: outputs go to the client. */
  routeToClient(): void {
    this.drop()
    this.#nextLost = false
    this.#isCarried = true
  }

  /** Gives up the next server; a push that is under way fails. */
  drop(): void {
    const next = this.#next
    this.#next = undefined
    if (next === undefined) return
    this.#nextLost = true
    void Promise.race([next.end(), sleep(ORDERLY_END_MS, undefined, { ref: false })]).then(() =>
      next.abort(new PetalsError('SESSION_CLOSED', 'the push stream is no longer needed')),
    )
  }

  /** Pushes an output to the next server; without one, sends it to the client. */
  async #pass(made: Made): Promise<void> {
    const { answers, outputs } = this.#modules
    const { epoch, step } = made
    const next = this.#next
    if (next === undefined && !this.#nextLost) {
      // What the client gets stays, since it may get lost on its way. Of the last span nothing else is needed again.
      const { position, hidden } = lastRows(made)
      if (hidden !== undefined) outputs.append(position, hidden)
      if (!this.#isCarried) outputs.acknowledge(position)
      return this.#answer(made)
    }
    outputs.append(made.position, made.hidden)
    const fault = { kind: 'broken', epoch, step } as const
    if (next === undefined)
      return answers.send({ ...fault, code: 'SESSION_POSITION', message: `step ${step} found no next server` })
    this.#pushing = step
    try {
      await next.send({ kind: 'step', ...made, hidden: await this.#forNext(made.hidden) })
    } catch (error) {
      if (this.#next === next) [this.#next, this.#nextLost] = [undefined, true]
      await answers.send({ ...fault, code: errorCode(error), message: errorMessage(error) })
    } finally {
      this.#pushing = 0
    }
  }

  /** The same values as the next server takes them. */
  #forNext(hidden: Activations): Activations | Promise<Activations> {
    return hidden.dtype !== 'int8-blocks' || this.#nextUnpacks ? hidden : decodeActivations(hidden, 'float32')
  }

  /** Sends the wanted rows of an output to the client. */
  async #answer({ epoch, step, ...made }: Made): Promise<void> {
    const { position, hidden } = lastRows(made)
    this.#pushing = step
    if (hidden === undefined) await this.#modules.answers.send({ kind: 'computed', epoch, step, position })
    else await this.#modules.answers.send({ kind: 'output', epoch, step, position, hidden })
    this.#pushing = 0
  }
}

/** The rows of an output that the client wants, and the position of the first; undefined where it wants none. */
function lastRows({ position, hidden, rows }: Pick<Made, 'position' | 'hidden' | 'rows'>) {
  const [tokens = 0] = hidden.shape
  const from = tokens - (rows ?? tokens)
  return { position: position + from, hidden: from === tokens ? undefined : sliceRows(hidden, from, tokens) }
}
