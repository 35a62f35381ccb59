// Room grammar/: which tokens may come next where an answer must have a form. `constraint.ts`: what can be asked;
// `compile.ts`: from there to a term, by way of `json/`, `regex/` and `schema/`; `terms/`: sets of byte strings and
// what is left of them after a byte; `tokens/`: from bytes to tokens and their masks; here: all of it for one thread.

import { ConstraintCompiler } from './compile.ts'
import type { Constraint } from './constraint.ts'
import type { Term } from './terms/term.ts'
import { Masks } from './tokens/masks.ts'
import type { Vocabulary } from './tokens/vocabulary.ts'

/** The most terms and rows that are kept of all constraints; beyond, all go, to be made again where they are needed. */
const MAX_TERMS = 200_000
const MAX_ROWS = 50_000

/** What belongs together: terms are compared with those of the same store only. */
export class GrammarStore {
  readonly compiler = new ConstraintCompiler()
  readonly masks: Masks
  readonly compiled = new Map<string, Term>()

  constructor(vocabulary: Vocabulary) {
    this.masks = new Masks(this.compiler.terms, this.compiler.derivatives, vocabulary)
  }

  get isFull(): boolean {
    return this.compiler.terms.size > MAX_TERMS || this.compiler.derivatives.numRows > MAX_ROWS
  }
}

/** The constraints of all texts of one thread, and what is known of their masks. */
export class Grammars {
  readonly vocabulary: Vocabulary
  #store: GrammarStore

  constructor(vocabulary: Vocabulary) {
    this.vocabulary = vocabulary
    this.#store = new GrammarStore(vocabulary)
  }

  /** The store of the token under way: states of another store are of no use any more. */
  store(): GrammarStore {
    if (this.#store.isFull) this.#store = new GrammarStore(this.vocabulary)
    return this.#store
  }

  /** The state before the first token; `key` tells constraints apart. Throws as `ConstraintCompiler.compile`. */
  start(store: GrammarStore, constraint: Constraint, key: string): Term {
    let term = store.compiled.get(key)
    if (term === undefined) {
      const { terms } = store.compiler
      term = store.compiler.compile(constraint)
      if (this.vocabulary.dropsFirstSpace) term = terms.concat(terms.optional(terms.text(' ')), term)
      store.compiled.set(key, term)
    }
    return term
  }
}
