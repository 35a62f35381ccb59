import { MAX_SESSIONS } from '../../client/generation/together.ts'
import type { CausalLMSession, FedPrompt } from '../../client/model/causal-session.ts'
import { merged } from './merged.ts'
import { type TextsFor, eventsOf, optionsOf } from './text-events.ts'
import type { TextEvent, TextRequest } from './text-request.ts'

/**
 * The texts of a prompt whose own tokens are scored: it is read once, in a session of its own, since what servers hold
 * of earlier prompts has no scores. Its texts go on in forks; there may be none.
 */
export class ScoredPrompt {
  readonly #request: TextRequest
  readonly #prompt: number
  readonly #for: TextsFor
  readonly #sessions: CausalLMSession[] = []

  constructor(request: TextRequest, prompt: number, forWhom: TextsFor) {
    this.#request = request
    this.#prompt = prompt
    this.#for = forWhom
  }

  async *run(): AsyncGenerator<TextEvent, void> {
    const { signal } = this.#for
    const closeAll = (): void => void this.#close()
    signal.addEventListener('abort', closeAll, { once: true })
    try {
      signal.throwIfAborted()
      yield* this.#texts()
    } finally {
      signal.removeEventListener('abort', closeAll)
      await this.#close()
    }
  }

  async *#texts(): AsyncGenerator<TextEvent, void> {
    const { n, promptLogprobs, options } = this.#request
    const began = performance.now()
    const session = this.#open()
    const fed = await session.read(this.#ids, { topLogprobs: promptLogprobs })
    const prefillSeconds = (performance.now() - began) / 1000
    if (promptLogprobs !== undefined) yield { kind: 'prompt', prompt: this.#prompt, logprobs: fed.logprobs }
    if (options.maxNewTokens === 0) return yield* this.#nothing(prefillSeconds)
    const free = [session, ...(await this.#forks(session, Math.min(n, MAX_SESSIONS) - 1))]
    const texts = Array.from({ length: n }, (_, i) => this.#inOneOf(free, fed, i, prefillSeconds))
    const stop = new AbortController()
    stop.signal.addEventListener('abort', () => void this.#close())
    yield* merged(texts, MAX_SESSIONS, stop)
  }

  get #ids(): readonly number[] {
    return this.#request.prompts[this.#prompt]!
  }

  async *#inOneOf(
    free: CausalLMSession[],
    fed: FedPrompt,
    text: number,
    prefillSeconds: number,
  ): AsyncGenerator<TextEvent, void> {
    const own = free.pop()!
    own.position = fed.heldIds.length + fed.ids.length
    const options = optionsOf(this.#request, this.#prompt, text, this.#for.signal)
    yield* eventsOf(this.#index(text), own.generateAfter(fed, options), prefillSeconds)
    free.push(own)
  }

  /** The ends of texts without tokens. */
  *#nothing(seconds: number): Generator<TextEvent, void> {
    for (let text = 0; text < this.#request.n; text++) {
      const empty = { tokenIds: [], logprobs: [], text: '', finishReason: 'length' as const, cachedTokens: 0 }
      const result = { ...empty, promptIds: [...this.#ids], seconds, prefillSeconds: seconds }
      yield { kind: 'end', index: this.#index(text), result }
    }
  }

  #index(text: number): number {
    return this.#prompt * this.#request.n + text
  }

  #open(): CausalLMSession {
    const { model, options } = this.#request
    const session = model.served.model.inferenceSession({
      maxLength: this.#ids.length + options.maxNewTokens,
      ...(model.adapter !== undefined && { activeAdapter: model.adapter }),
    })
    this.#sessions.push(session)
    const { watch } = this.#for
    session.blocks
      .on('route', (hops) => watch.onRoute(this.#prompt, hops))
      .on('recovery', (recovery) => watch.onRecovery(recovery))
      .on('waiting', (waiting) => watch.onWaiting(waiting))
    return session
  }

  async #forks(session: CausalLMSession, count: number): Promise<CausalLMSession[]> {
    const made = await Promise.allSettled(Array.from({ length: count }, () => session.fork()))
    const forks = made.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
    this.#sessions.push(...forks)
    const failed = made.find((result) => result.status === 'rejected')
    if (failed !== undefined) throw failed.reason as Error
    this.#for.signal.throwIfAborted()
    return forks
  }

  async #close(): Promise<void> {
    await Promise.all(this.#sessions.map((session) => session.close()))
  }
}
