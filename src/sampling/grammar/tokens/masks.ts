import type { Derivatives } from '../terms/derivatives.ts'
import type { Term } from '../terms/term.ts'
import type { Terms } from '../terms/terms.ts'
import { BEHIND, BETWEEN, CountedTokens, Places, SEVERAL, countedOf } from './counted-tokens.ts'
import { type Exits, type HeadTokens, bytesOfHead, exitsFrom } from './head-tokens.ts'
import { type TokenSet, TokenSetBuilder, byteSizeOf } from './token-set.ts'
import { loopGroups } from './byte-groups.ts'
import type { TokenTrie } from './token-trie.ts'
import { type Vocabulary, sizeOf } from './vocabulary.ts'

/** What is kept of masks, of each kind. */
const CACHE_BYTES = 16 * 1024 ** 2

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
  readonly #heads = new Cache<HeadTokens>(bytesOfHead)
  readonly #counted = new Cache<CountedTokens>(({ byteSize }) => byteSize)
  /** By states: the groups of bytes after which they are the same. */
  readonly #loops = new Map<number, number>()
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
    if (term.op === 'or') return this.#addAll(term.parts)
    if (term.op === 'ref') return this.#add(term.rule.term)
    if (term.op !== 'concat') return this.#builder.addAll(this.#head(term).tokens)
    const { head, tail } = term
    if (head.op === 'or') return this.#addAll(head.parts.map((part) => terms.concat(part, tail)))
    if (head.op === 'ref') return this.#add(terms.concat(head.rule.term, tail))
    const { tokens, exits } = this.#head(head)
    this.#builder.addAll(tokens)
    this.#goOn(exits, tail)
    if (head.nullable) this.#add(tail)
  }

  /** Adds what any of some terms allows. Those that begin with fixed bytes are walked together. */
  #addAll(parts: readonly Term[]): void {
    const fixed = parts.filter(beginsFixed)
    const isWalked = fixed.length > 1
    if (isWalked) this.#addFrom(0, this.#terms.or(fixed).id)
    for (const part of parts) if (!isWalked || !beginsFixed(part)) this.#add(part)
  }

  /** Adds the tokens that go on with `term` behind an end of what comes before it. */
  #goOn({ nodes, starts }: Exits, term: Term): void {
    const row = this.#derivatives.row(term.id)
    for (let byte = 0; byte < 256; byte++) {
      const state = row[byte]!
      if (state === 0) continue
      for (let i = starts[byte]!; i < starts[byte + 1]!; i++) {
        this.#addFrom(nodes[i]!, state)
      }
    }
  }

  /** Adds the tokens from a node on, which is reached in `state`. */
  #addFrom(node: number, state: number): void {
    this.#visit(node, state, {
      reach: (node) => addNodes(this.#builder, this.#trie, node, node + 1),
      reachAll: (from, until) => addNodes(this.#builder, this.#trie, from, until),
    })
  }

  #head(term: Term): HeadTokens {
    return this.#heads.get(term) ?? this.#heads.set(term, this.#countedHead(term) ?? this.#walkedHead(term))
  }

  #walkedHead(term: Term): HeadTokens {
    const { ends } = this.#trie
    const terms = this.#terms
    const builder = this.#headBuilder
    const exits: number[] = []
    builder.clear()
    const add = (from: number, until: number, state: number): void => {
      addNodes(builder, this.#trie, from, until)
      if (!terms.byId(state).nullable) return
      for (let node = Math.max(1, from); node < until; node++) if (ends[node]! > node + 1) exits.push(node)
    }
    this.#visit(0, term.id, { reach: (node, state) => add(node, node + 1, state), reachAll: add })
    return { tokens: builder.finish(), exits: exitsFrom(this.#trie, exits) }
  }

  #countedHead(term: Term): HeadTokens | undefined {
    const counted = countedOf(this.#terms, term)
    if (counted === undefined) return undefined
    const { unlimited } = counted
    const tokens = this.#counted.get(unlimited) ?? this.#counted.set(unlimited, this.#count(unlimited))
    return tokens.isAmbiguous ? undefined : tokens.within(counted, this.#headBuilder)
  }

  #count(unlimited: Term): CountedTokens {
    const terms = this.#terms
    const places = new Places(unlimited)
    const counted = new CountedTokens(this.#trie)
    const { depths } = this.#trie
    /** Repeats that have ended, by depth. */
    const ended = new Int32Array(this.#states.length)
    const reach = (node: number, id: number): void => {
      const depth = depths[node]!
      if (depth === 0) return
      const state = terms.byId(id)
      const place = places.of(state)
      if (place === SEVERAL) counted.isAmbiguous = true
      const before = ended[depth - 1]!
      ended[depth] = place === BETWEEN ? before + 1 : before
      const isOpen = place !== BEHIND
      counted.add(node, isOpen ? before + 1 : before, isOpen, state.nullable)
    }
    this.#visit(0, unlimited.id, { reach })
    return counted
  }

  /**
   * Goes through a node that is reached in `state` and all below it that can be reached from there. Most of a
   * vocabulary is words, after each byte of which a string is where it was: where `reachAll` is given, it is told of
   * these at once.
   */
  #visit(node: number, state: number, { reach, reachAll }: Visitor): void {
    if (state === DEAD_END) return
    const { bytes, depths, ends, below } = this.#trie
    const states = this.#states
    const derivatives = this.#derivatives
    const end = ends[node]!
    let known = -1
    let groups = 0
    const loops = (at: number, state: number): boolean => {
      if (state !== known) groups = this.#loopsOf((known = state))
      return (below[at]! & ~groups) === 0
    }
    states[depths[node]!] = state
    if (reachAll !== undefined && loops(node, state)) return reachAll(node, end, state)
    reach(node, state)
    for (let i = node + 1; i < end;) {
      const depth = depths[i]!
      const next = derivatives.row(states[depth - 1]!)[bytes[i]!]!
      const behind = ends[i]!
      if (next === DEAD_END) {
        i = behind
      } else if (reachAll !== undefined && behind > i + MIN_LOOP_NODES && loops(i, next)) {
        reachAll(i, behind, next)
        i = behind
      } else {
        states[depth] = next
        reach(i, next)
        i++
      }
    }
  }

  /** The groups of bytes after which a state is the same. */
  #loopsOf(state: number): number {
    let groups = this.#loops.get(state)
    if (groups === undefined) this.#loops.set(state, (groups = loopGroups(this.#derivatives.row(state), state)))
    return groups
  }
}

/** The state from which nothing leads on. */
const DEAD_END = 0

/** Told of the nodes of a walk, and in what state they are reached. */
interface Visitor {
  readonly reach: (node: number, state: number) => void
  /** Nodes `from` to `until`, all in one state. */
  readonly reachAll?: (from: number, until: number, state: number) => void
}

/** Fewer nodes are walked one by one: a state's row may not be there yet. */
const MIN_LOOP_NODES = 8

function addNodes(builder: TokenSetBuilder, { tokens, twins }: TokenTrie, from: number, until: number): void {
  for (let node = from; node < until; node++)
    for (let token = tokens[node]!; token !== -1; token = twins[token]!) builder.add(token)
}

function beginsFixed(term: Term): boolean {
  return (term.op === 'concat' ? term.head : term).op === 'literal'
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
