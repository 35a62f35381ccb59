import { ApiError } from '../errors/api-error.ts'

const DAY_MS = 24 * 60 * 60 * 1000

/** Whom requests with one key are from, and how much they have used. */
export class Caller {
  /** What the key's owner is called; never the key. */
  readonly name: string
  readonly #tokensPerDay: number
  readonly #now: () => number
  #day = 0
  #today = 0
  #promptTokens = 0
  #completionTokens = 0
  #requests = 0

  /** `tokensPerDay` counts tokens of prompts and answers of a day of UTC. */
  constructor(name: string, tokensPerDay = Infinity, now: () => number = Date.now) {
    this.name = name
    this.#tokensPerDay = tokensPerDay
    this.#now = now
  }

  /** Since the process began. */
  get used(): { readonly requests: number; readonly promptTokens: number; readonly completionTokens: number } {
    return { requests: this.#requests, promptTokens: this.#promptTokens, completionTokens: this.#completionTokens }
  }

  /** Counts a request. Throws an `ApiError` with status 429 where the day's tokens are used up. */
  admit(): void {
    this.#requests += 1
    this.#beginDay()
    if (this.#today < this.#tokensPerDay) return
    throw new ApiError(`the ${this.#tokensPerDay} tokens that ${this.name} has for a day are used up`, {
      status: 429,
      type: 'rate_limit_error',
      code: 'insufficient_quota',
      retryAfterSeconds: ((this.#day + 1) * DAY_MS - this.#now()) / 1000,
    })
  }

  /** Counts what a request took. */
  charge(promptTokens: number, completionTokens: number): void {
    this.#beginDay()
    this.#today += promptTokens + completionTokens
    this.#promptTokens += promptTokens
    this.#completionTokens += completionTokens
  }

  #beginDay(): void {
    const day = Math.floor(this.#now() / DAY_MS)
    if (day === this.#day) return
    this.#day = day
    this.#today = 0
  }
}
