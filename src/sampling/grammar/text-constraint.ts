import type { LogitsProcessor } from '../logits.ts'
import type { Constraint } from './constraint.ts'
import type { GrammarStore, Grammars } from './grammars.ts'
import type { Term } from './terms/term.ts'
import { keepOnly } from './tokens/token-set.ts'
import { bytesOf } from './tokens/vocabulary.ts'

/** How far a text has come. */
interface Progress {
  readonly store: GrammarStore
  readonly length: number
  readonly state: Term
}

/**
 * The constraint of a text, or of all beams of a search. What has been written follows from the token ids alone; that
 * of a list that only grows is kept.
 */
export class TextConstraint {
  readonly #grammars: Grammars
  readonly #constraint: Constraint
  readonly #key: string
  readonly #promptLength: number
  readonly #eosTokenIds: readonly number[]
  readonly #progress = new WeakMap<readonly number[], Progress>()

  constructor(
    grammars: Grammars,
    constraint: Constraint,
    { promptLength, eosTokenIds }: { readonly promptLength: number; readonly eosTokenIds: readonly number[] },
  ) {
    this.#grammars = grammars
    this.#constraint = constraint
    this.#key = JSON.stringify(constraint)
    this.#promptLength = promptLength
    this.#eosTokenIds = eosTokenIds
  }

  /** Bans all tokens that lead away from the constraint; an EOS token unless all that is asked for has been written. */
  readonly process: LogitsProcessor = (logits, ids) => {
    const { store, state } = this.#follow(ids)
    const eosLogits = this.#eosTokenIds.map((id) => logits[id]!)
    keepOnly(logits, store.masks.of(state))
    for (const [i, id] of this.#eosTokenIds.entries())
      if (id < logits.length) logits[id] = state.nullable ? eosLogits[i]! : -Infinity
  }

  /** Finds what may come behind `ids`, so that `process` knows it: what takes time there does not need the logits. */
  prepare(ids: readonly number[]): void {
    const { store, state } = this.#follow(ids)
    store.masks.of(state)
  }

  /** Whether nothing can follow if `tokenId` comes after `ids`. */
  isCompletedBy(ids: readonly number[], tokenId: number): boolean {
    const { store, state } = this.#follow(ids)
    return this.#after(store, state, tokenId).op === 'epsilon'
  }

  #follow(ids: readonly number[]): Progress {
    const store = this.#grammars.store()
    let progress = this.#progress.get(ids)
    if (progress?.store !== store || progress.length > ids.length)
      progress = { store, length: this.#promptLength, state: this.#grammars.start(store, this.#constraint, this.#key) }
    if (progress.length === ids.length) return progress
    let { state } = progress
    for (let i = progress.length; i < ids.length; i++) state = this.#after(store, state, ids[i]!)
    const reached = { store, length: ids.length, state }
    this.#progress.set(ids, reached)
    return reached
  }

  #after({ compiler }: GrammarStore, state: Term, tokenId: number): Term {
    return compiler.derivatives.after(state, bytesOf(this.#grammars.vocabulary, tokenId))
  }
}
