import type { BeforeHead, TokenSource } from './token-source.ts'

/**
 * A source that has been fed the prompt: its first step returns `state`, the result of that. `heldIds` are the tokens
 * before the prompt.
 */
export class PrefilledSource implements TokenSource {
  readonly heldIds: readonly number[]
  readonly beforeHead: BeforeHead | undefined
  readonly #source: TokenSource
  #state: Float32Array | undefined

  constructor(source: TokenSource, heldIds: readonly number[], state: Float32Array | undefined) {
    const { beforeHead } = source
    this.heldIds = heldIds
    this.beforeHead = beforeHead && {
      head: beforeHead.head,
      feed: async (ids, signal) => this.#take() ?? beforeHead.feed(ids, signal),
    }
    this.#source = source
    this.#state = state
  }

  async next(ids: readonly number[], signal?: AbortSignal): Promise<Float32Array> {
    return this.#take() ?? this.#source.next(ids, signal)
  }

  #take(): Float32Array | undefined {
    const state = this.#state
    this.#state = undefined
    return state
  }
}
