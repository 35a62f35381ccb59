import type { GenerationChunk, GenerationResult } from '../../client/generation/result.ts'
import { MAX_SESSIONS } from '../../client/generation/together.ts'
import type { CausalLMSession, FedPrompt } from '../../client/model/causal-session.ts'
import type { InferenceSession } from '../../client/session/inference-session.ts'
import { deriveSeed } from '../../sampling/random.ts'
import { merged } from './merged.ts'
import type { TextEvent, TextRequest } from './text-request.ts'

/** Told of each session that a request opens. */
export type WatchSession = (session: InferenceSession) => void

/** How many sessions a request has open at once. */
export function sessionsOf({ prompts, n }: Pick<TextRequest, 'prompts' | 'n'>): number {
  return Math.min(MAX_SESSIONS, prompts.length * n)
}

/**
 * Generates the texts of all prompts, a few at a time; events come as they happen, in order for each text. When the
 * signal is aborted, or the reader stops, all sessions are closed at once, whatever they are doing. Throws the signal's
 * reason, and as `CausalLMSession.read` and `generate`.
 */
export async function* textsOf(
  request: TextRequest,
  signal: AbortSignal,
  watch: WatchSession,
): AsyncGenerator<TextEvent, void> {
  const stop = new AbortController()
  const either = AbortSignal.any([signal, stop.signal])
  const generators = request.prompts.map((ids, prompt) =>
    new PromptTexts(request, { ids, prompt }, either, watch).run(),
  )
  const together = Math.max(1, Math.floor(MAX_SESSIONS / request.n))
  yield* merged(generators, together, stop)
  signal.throwIfAborted()
}

/** The texts of one prompt. */
class PromptTexts {
  readonly #request: TextRequest
  readonly #ids: readonly number[]
  readonly #prompt: number
  readonly #signal: AbortSignal
  readonly #watch: WatchSession
  readonly #sessions: CausalLMSession[] = []

  constructor(
    request: TextRequest,
    { ids, prompt }: { readonly ids: readonly number[]; readonly prompt: number },
    signal: AbortSignal,
    watch: WatchSession,
  ) {
    this.#request = request
    this.#ids = ids
    this.#prompt = prompt
    this.#signal = signal
    this.#watch = watch
  }

  async *run(): AsyncGenerator<TextEvent, void> {
    const closeAll = (): void => void this.#close()
    this.#signal.addEventListener('abort', closeAll, { once: true })
    try {
      this.#signal.throwIfAborted()
      const { n, promptLogprobs } = this.#request
      if (n === 1 && promptLogprobs === undefined && this.#maxNewTokens > 0) yield* this.#single()
      else yield* this.#several()
    } finally {
      this.#signal.removeEventListener('abort', closeAll)
      await this.#close()
    }
  }

  get #maxNewTokens(): number {
    return this.#request.options.maxNewTokens
  }

  async *#single(): AsyncGenerator<TextEvent, void> {
    yield* this.#text(0, this.#open().generate(this.#ids, this.#options(0)))
  }

  /** The prompt is fed once and its texts go on in forks, or there is no text at all. */
  async *#several(): AsyncGenerator<TextEvent, void> {
    const { n, promptLogprobs } = this.#request
    const began = performance.now()
    const session = this.#open()
    const fed = await session.read(this.#ids, { topLogprobs: promptLogprobs })
    const prefillSeconds = (performance.now() - began) / 1000
    if (promptLogprobs !== undefined) yield { kind: 'prompt', prompt: this.#prompt, logprobs: fed.logprobs }
    if (this.#maxNewTokens === 0) return yield* this.#nothing(prefillSeconds)
    const free = [session, ...(await this.#forks(session, Math.min(n, MAX_SESSIONS) - 1))]
    const texts = Array.from({ length: n }, (_, i) => this.#inOneOf(free, fed, i, prefillSeconds))
    const stop = new AbortController()
    stop.signal.addEventListener('abort', () => void this.#close())
    yield* merged(texts, MAX_SESSIONS, stop)
  }

  async *#inOneOf(
    free: CausalLMSession[],
    fed: FedPrompt,
    text: number,
    prefillSeconds: number,
  ): AsyncGenerator<TextEvent, void> {
    const own = free.pop()!
    own.position = fed.heldIds.length + fed.ids.length
    yield* this.#text(text, own.generateAfter(fed, this.#options(text)), prefillSeconds)
    free.push(own)
  }

  async *#text(
    text: number,
    chunks: AsyncGenerator<GenerationChunk, GenerationResult>,
    prefillSeconds = 0,
  ): AsyncGenerator<TextEvent, void> {
    const index = this.#index(text)
    for (;;) {
      const next = await chunks.next()
      if (next.done !== true) {
        yield { kind: 'chunk', index, chunk: next.value }
        continue
      }
      const { seconds, prefillSeconds: own, ...result } = next.value
      const times = prefillSeconds > 0 ? [seconds + prefillSeconds, prefillSeconds] : [seconds, own]
      yield {
        kind: 'end',
        index,
        result: { ...result, seconds: times[0]!, prefillSeconds: times[1]!, cachedTokens: 0 },
      }
      return
    }
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

  #options(text: number) {
    const { options } = this.#request
    const seed = deriveSeed(deriveSeed(options.seed, 'prompt', this.#prompt), 'text', text)
    return { ...options, seed, signal: this.#signal }
  }

  #open(): CausalLMSession {
    const { served, adapter } = this.#request.model
    const session = served.model.inferenceSession({
      maxLength: this.#ids.length + this.#maxNewTokens,
      ...(adapter !== undefined && { activeAdapter: adapter }),
    })
    this.#sessions.push(session)
    this.#watch(session.blocks)
    return session
  }

  async #forks(session: CausalLMSession, count: number): Promise<CausalLMSession[]> {
    const made = await Promise.allSettled(Array.from({ length: count }, () => session.fork()))
    const forks = made.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
    this.#sessions.push(...forks)
    const failed = made.find((result) => result.status === 'rejected')
    if (failed !== undefined) throw failed.reason as Error
    this.#signal.throwIfAborted()
    return forks
  }

  async #close(): Promise<void> {
    await Promise.all(this.#sessions.map((session) => session.close()))
  }
}
