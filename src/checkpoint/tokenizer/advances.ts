import { type AdvanceAnswer, type AdvanceRequest, type Advanced, tokenizerError } from './calls.ts'

interface Waiting {
  readonly request: AdvanceRequest
  readonly resolve: (advanced: Advanced) => void
  readonly reject: (error: Error) => void
}

/**
 * Asks the tokenizer's thread for the texts of new tokens: of all texts that have one in the same turn of the event
 * loop at once, since a message to a thread takes longer than decoding a token. Once the vocabulary is known
 * (`Tokenizer.vocabulary`) only parts of characters come this way.
 */
export class Advances {
  readonly #ask: (requests: readonly AdvanceRequest[]) => Promise<readonly AdvanceAnswer[]>
  #waiting: Waiting[] = []

  constructor(ask: (requests: readonly AdvanceRequest[]) => Promise<readonly AdvanceAnswer[]>) {
    this.#ask = ask
  }

  /** Rejects with `TOKENIZER_FAILED`, and with what asking throws. */
  next(request: AdvanceRequest): Promise<Advanced> {
    const { promise, resolve, reject } = Promise.withResolvers<Advanced>()
    if (this.#waiting.push({ request, resolve, reject }) === 1) process.nextTick(() => void this.#send())
    return promise
  }

  async #send(): Promise<void> {
    const waiting = this.#waiting
    this.#waiting = []
    try {
      const answers = await this.#ask(waiting.map(({ request }) => request))
      for (const [i, { resolve, reject }] of waiting.entries()) {
        const answer = answers[i]!
        if ('failure' in answer) reject(tokenizerError(answer.failure))
        else resolve(answer)
      }
    } catch (error) {
      for (const { reject } of waiting) reject(error as Error)
    }
  }
}
