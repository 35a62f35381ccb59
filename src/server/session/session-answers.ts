import { errorCode, errorMessage } from '../../base/errors.ts'
import type { ServedStream } from '../../swarm/frames/frame-stream.ts'
import type { Answer, Request, StepMessage } from '../../swarm/frames/messages.ts'

/** The most characters of a failure's message. */
const MAX_REASON = 500

/** Answers a session's client, as long as the session is open. Nothing here rejects. */
export class SessionAnswers {
  readonly #stream: Pick<ServedStream<'inference'>, 'send'>
  #closed = false

  constructor(stream: Pick<ServedStream<'inference'>, 'send'>) {
    this.#stream = stream
  }

  /** Resolves once the client's stream has taken the answer: until then the session's next request waits. */
  async send(answer: Answer<'inference'>): Promise<void> {
    if (this.#closed) return
    // A client that is gone is noticed by the stream's end, and one that does not read is cut off by the stream's own
    // limits.
    await this.#stream.send(answer).catch(() => undefined)
  }

  /** Tells the client that a step was not computed for a reason that does not speak against this server. */
  broken({ epoch, step }: StepMessage, code: string, why: string): Promise<void> {
    return this.send({ kind: 'broken', epoch, step, code, message: `step ${step} of epoch ${epoch} ${why}` })
  }

  /** Tells the client that a request failed. The session stays open: the client decides what to do. */
  failed(
    message: Extract<Request<'inference'>, { kind: 'step' } | { request: number }>,
    error: unknown,
  ): Promise<void> {
    const code = errorCode(error)
    const reason = code === 'INTERNAL' ? 'internal error' : errorMessage(error).slice(0, MAX_REASON)
    const fault = { code, message: `${message.kind}: ${reason}` }
    return message.kind === 'step'
      ? this.send({ kind: 'failed', epoch: message.epoch, step: message.step, ...fault })
      : this.send({ kind: 'refused', request: message.request, ...fault })
  }

  /** From now on nothing is sent. */
  close(): void {
    this.#closed = true
  }
}
