import type { Derivatives } from '../terms/derivatives.ts'
import type { Term } from '../terms/term.ts'
import type { Terms } from '../terms/terms.ts'
import { type TokenSet, TokenSetBuilder, byteSizeOf } from './token-set.ts'
import { type Vocabulary, sizeOf } from './vocabulary.ts'

/** What is kept of masks, of each kind. */
const CACHE_BYTES = 32 * 1024 ** 2

/** The tokens that fit into a term from its beginning, and the nodes within the tree where the term can be over. */
interface HeadTokens {
  readonly tokens: TokenSet
  readonly exits: Int32Array
}

/**
 * Which tokens may come next, for any term. A term that is a sequence is taken apart: the tokens that stay within its
 * head are the same wherever this head stands, and are found once; only tokens that go beyond it are walked again. So
 * strings, which nearly all tokens fit into, cost a copy of what is known.
 */
export class Masks {
  readonly #terms: Terms
  readonly #derivatives: Derivatives
  readonly #trie: Vocabulary['trie']
  readonly #builder: TokenSetBuilder
  readonly #headBuilder: TokenSetBuilder
  readonly #masks = new Cache<TokenSet>(byteSizeOf)
  readonly #heads = new Cache<HeadTokens>(({ tokens, exits }) => byteSizeOf(tokens) + exits.byteLength)
  /** The state at each depth of a walk. */
  readonly #states: Int32Array

  constructor(terms: Terms, derivatives: Derivatives, vocabulary: Vocabulary) {
    this.#terms = terms
    this.#derivatives = derivatives
    this.#trie = vocabulary.trie
    this.#builder = new TokenSetBuilder(sizeOf(vocabulary))
    this.#headBuilder = new TokenSetBuilder(sizeOf(vocabulary))
    this.#states = new Int32Array(vocabulary.trie.maxDepth + 1)
  }

  /** The tokens that may come next. Throws `CONSTRAINT_TOO_LARGE` where that takes too long to find. */
  of(term: Term): TokenSet {
    const known = this.#masks.get(term)
    if (known !== undefined) return known
    return this.#derivatives.bounded(() => {
      this.#builder.clear()
      this.#add(term)
      return this.#masks.set(term, this.#builder.finish())
    })
  }

  /** Adds what a term allows at the root of the tree. */
  #add(term: Term): void {
    const terms = this.#terms
    if (term.op === 'or') {
      for (const part of term.parts) this.#add(part)
      return
    }
    if (term.op === 'ref') return this.#add(term.rule.term)
    if (term.op !== 'concat') return this.#builder.addAll(this.#head(term).tokens)
    const { head, tail } = term
    if (head.op === 'or') {
      for (const part of head.parts) this.#add(terms.concat(part, tail))
      return
    }
    if (head.op === 'ref') return this.#add(terms.concat(head.rule.term, tail))
    const { tokens, exits } = this.#head(head)
    this.#builder.addAll(tokens)
    for (const node of exits) this.#walk(node, tail, this.#builder)
    if (head.nullable) this.#add(tail)
  }

  #head(term: Term): HeadTokens {
    const known = this.#heads.get(term)
    if (known !== undefined) return known
    const same = this.#shortened(term)
    if (same !== term) return this.#heads.set(term, this.#head(same))
    const exits: number[] = []
    this.#headBuilder.clear()
    this.#walk(0, term, this.#headBuilder, exits)
    return this.#heads.set(term, { tokens: this.#headBuilder.finish(), exits: Int32Array.from(exits) })
  }

  /** Walks the tree below `node` from the state `term`. `exits`: the nodes above others where a state may end. */
  #walk(node: number, term: Term, builder: TokenSetBuilder, exits?: number[]): void {
    const { bytes, depths, ends, tokens, twins } = this.#trie
    const states = this.#states
    const derivatives = this.#derivatives
    const end = ends[node]!
    states[depths[node]!] = term.id
    for (let i = node + 1; i < end;) {
      const depth = depths[i]!
      const state = derivatives.row(states[depth - 1]!)[bytes[i]!]!
      if (state === 0) {
        i = ends[i]!
        continue
      }
      states[depth] = state
      for (let token = tokens[i]!; token !== -1; token = twins[token]!) builder.add(token)
      if (exits !== undefined && ends[i]! > i + 1 && this.#terms.byId(state).nullable) exits.push(i)
      i++
    }
  }

  /** The same term with counts that no token is long enough to tell apart made equal. */
  #shortened(term: Term): Term {
    const terms = this.#terms
    const enough = this.#trie.maxDepth + 1
    switch (term.op) {
      case 'atom':
        return terms.atom(this.#shortened(term.term))
      case 'concat':
        return terms.concat(this.#shortened(term.head), term.tail)
      case 'repeat':
        return terms.repeat(term.term, Math.min(term.min, enough), term.max >= enough ? Infinity : term.max)
      default:
        return term
    }
  }
}

/** Values by terms; the least recently used go when they take too much. */
class Cache<T> {
  readonly #values = new Map<Term, T>()
  readonly #sizeOf: (value: T) => number
  #bytes = 0

  constructor(sizeOf: (value: T) => number) {
    this.#sizeOf = sizeOf
  }

  get(term: Term): T | undefined {
    const value = this.#values.get(term)
    if (value === undefined) return undefined
    this.#values.delete(term)
    this.#values.set(term, value)
    return value
  }

  set(term: Term, value: T): T {
    this.#values.set(term, value)
    this.#bytes += this.#sizeOf(value)
    for (const [oldest, old] of this.#values) {
      if (this.#bytes <= CACHE_BYTES || oldest === term) break
      this.#values.delete(oldest)
      this.#bytes -= this.#sizeOf(old)
    }
    return value
  }
}
