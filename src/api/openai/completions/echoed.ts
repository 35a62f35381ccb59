import type { PlaceLogprobs } from '../../../sampling/token-logprobs.ts'
import type { CompletionContext } from './context.ts'
import type { PlacedTokens } from './choice.ts'

/** What stands before the texts of a request, where `echo` asks for it. */
export class Echo {
  readonly #context: CompletionContext
  readonly #texts = new Map<number, string>()
  readonly #logprobs = new Map<number, readonly PlaceLogprobs[]>()

  constructor(context: CompletionContext) {
    this.#context = context
  }

  /** Notes how likely a prompt's tokens are. */
  score(prompt: number, logprobs: readonly PlaceLogprobs[]): void {
    this.#logprobs.set(prompt, logprobs)
  }

  /** The text of a prompt: as it was given, or of its ids; nothing without `echo`. */
  async textOf(prompt: number): Promise<string> {
    const { body, request } = this.#context
    if (body.echo !== true) return ''
    const given = typeof body.prompt === 'string' ? body.prompt : body.prompt[prompt]
    if (typeof given === 'string') return given
    const known = this.#texts.get(prompt)
    if (known !== undefined) return known
    const { tokenizer } = request.model.served.model
    const text = (await tokenizer?.decode(request.prompts[prompt]!, { skipSpecialTokens: true })) ?? ''
    this.#texts.set(prompt, text)
    return text
  }

  /** The tokens of a prompt, if they are told of; none without `echo`. */
  tokensOf(prompt: number): PlacedTokens {
    const logprobs = this.#logprobs.get(prompt)
    if (this.#context.body.echo !== true || logprobs === undefined) return { tokenIds: [], logprobs: [] }
    return { tokenIds: this.#context.request.prompts[prompt]!, logprobs: [null, ...logprobs] }
  }

  /** What vLLM's `prompt_logprobs` asks for; undefined where it was not. */
  promptLogprobs(prompt: number): readonly (PlaceLogprobs | null)[] | undefined {
    const logprobs = this.#logprobs.get(prompt)
    return this.#context.body.prompt_logprobs === undefined || logprobs === undefined ? undefined : [null, ...logprobs]
  }
}
