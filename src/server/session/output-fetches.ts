import { PetalsError } from '../../base/errors.ts'
import type { ByteBudget } from '../../swarm/byte-budget.ts'
import type { Request } from '../../swarm/frames/messages.ts'
import type { OutputLog } from './output-log.ts'
import type { SessionAnswers } from './session-answers.ts'

type FetchRequest = Extract<Request<'inference'>, { kind: 'fetch' }>

/** What fetches are answered with. */
export interface OutputFetchesModules {
  readonly client: string
  readonly outputs: OutputLog
  readonly answers: SessionAnswers
  /** Bytes that are on their way to clients. */
  readonly sent: Pick<ByteBudget, 'during'>
}

/**
 * Gives a session's client copies of outputs that were pushed on: one after another, and beside the work that follows,
 * so that no step waits until the client has read them.
 */
export class OutputFetches {
  readonly #modules: OutputFetchesModules
  readonly #over = new AbortController()
  #last: Promise<void> = Promise.resolve()

  constructor(modules: OutputFetchesModules) {
    this.#modules = modules
  }

  /** Answers a request once `before` and all earlier requests are done. Throws `SESSION_OUTPUTS_GONE`. */
  answer(request: FetchRequest, before: Promise<void>): Promise<void> {
    const answered = this.#last.then(() => before).then(() => this.#send(request))
    this.#last = answered.catch(() => undefined)
    return answered
  }

  close(): void {
    this.#over.abort(new PetalsError('SESSION_CLOSED', 'the session is closed'))
  }

  /** The copy is made once the client's budget has room for it, which it takes until the client has read it. */
  #send({ request, position, until }: FetchRequest): Promise<void> {
    const { client, outputs, answers, sent } = this.#modules
    const bytes = Math.min(outputs.bytes, Math.max(0, until - position) * outputs.tokenBytes)
    const send = async (): Promise<void> => {
      if (this.#over.signal.aborted) return
      const hidden = outputs.range(position, until)
      if (hidden === undefined)
        throw new PetalsError('SESSION_OUTPUTS_GONE', `outputs ${position} to ${until} are not held here any more`)
      await answers.send({ kind: 'fetched', request, position, hidden })
    }
    return sent.during(client, bytes, send, this.#over.signal)
  }
}
