import type { Term } from '../terms/term.ts'
import type { Terms } from '../terms/terms.ts'
import { type HeadTokens, exitsFrom } from './head-tokens.ts'
import type { TokenSetBuilder } from './token-set.ts'
import type { TokenTrie } from './token-trie.ts'

/** A term that repeats something and ends, by how often at least and at most. */
export interface Counted {
  /** The same term without limits. */
  readonly unlimited: Term
  readonly min: number
  readonly max: number
}

/** A term as a repetition with limits, such as a string of at most 100 characters; undefined if it is none. */
export function countedOf(terms: Terms, term: Term): Counted | undefined {
  const inner = term.op === 'atom' ? term.term : term
  const repeat = inner.op === 'concat' ? inner.head : inner
  if (repeat.op !== 'repeat' || (repeat.min === 0 && repeat.max === Infinity)) return undefined
  const loop = terms.repeat(repeat.term)
  const unlimited = inner.op === 'concat' ? terms.concat(loop, inner.tail) : loop
  return { unlimited: term.op === 'atom' ? terms.atom(unlimited) : unlimited, min: repeat.min, max: repeat.max }
}

/** Where a state stands in a repetition: between two repeats, within one, behind the last, or at several places. */
export const BETWEEN = 1
const WITHIN = 2
export const BEHIND = 3
export const SEVERAL = 4

/** Where the states of a repetition without limits stand. */
export class Places {
  readonly #loop: Term
  /** By ids of states. */
  readonly #known: number[] = []

  constructor(unlimited: Term) {
    this.#loop = innerOf(unlimited)
  }

  of(state: Term): number {
    return (this.#known[state.id] ??= this.#find(innerOf(state)))
  }

  #find(state: Term): number {
    if (state === this.#loop) return BETWEEN
    if (state.op === 'or' || state.op === 'and') return SEVERAL
    for (let rest: Term = state; rest.op === 'concat'; rest = rest.tail) if (rest.tail === this.#loop) return WITHIN
    return BEHIND
  }
}

function innerOf(term: Term): Term {
  return term.op === 'atom' ? term.term : term
}

/** Most tokens have at least so many repeats, such as characters of a string. */
const FEW_REPEATS = 4

/**
 * The tokens of a repetition without limits by how many repeats each begins or ends. Those of the same repetition with
 * limits are found by counting, without another walk: a string's rest has another limit after each character.
 */
export class CountedTokens {
  readonly #trie: TokenTrie
  /** By the number of repeats: tokens that stay in the repetition, that go to its end, nodes where it is over. */
  readonly #open: number[][] = []
  readonly #closed: number[][] = []
  readonly #ends: number[][] = []
  #unlimited: HeadTokens | undefined
  #size = 0
  /** Whether a state stood at two places at once: it says nothing then. */
  isAmbiguous = false

  constructor(trie: TokenTrie) {
    this.#trie = trie
  }

  get byteSize(): number {
    return this.#size * Float64Array.BYTES_PER_ELEMENT
  }

  /**
   * Notes a node that is reached after so many repeats, the one under way included; whether it is in the repetition
   * still, and whether the repetition may be over there.
   */
  add(node: number, count: number, isOpen: boolean, isEnd: boolean): void {
    const { tokens, twins, ends } = this.#trie
    const list = isOpen ? this.#open : this.#closed
    for (let token = tokens[node]!; token !== -1; token = twins[token]!) this.#note(list, count, token)
    if (isEnd && ends[node]! > node + 1) this.#note(this.#ends, count, node)
  }

  #note(list: number[][], count: number, value: number): void {
    const values = (list[count] ??= [])
    values.push(value)
    this.#size++
  }

  /** The tokens of the repetition with limits. */
  within({ min, max }: Counted, builder: TokenSetBuilder): HeadTokens {
    const longest = Math.max(this.#open.length, this.#closed.length, this.#ends.length) - 1
    this.#unlimited ??= this.#between(0, longest, builder)
    if (min === 0 && max >= longest) return this.#unlimited
    // Few tokens have many repeats: those beyond a limit are soon taken out, those within a small one soon put in.
    if (max < FEW_REPEATS) return this.#between(min, max, builder)
    builder.copy(this.#unlimited.tokens)
    eachOf(this.#open, max + 1, longest, (token) => builder.remove(token))
    eachOf(this.#closed, max + 1, longest, (token) => builder.remove(token))
    eachOf(this.#closed, 0, min - 1, (token) => builder.remove(token))
    return { tokens: builder.finish(), exits: this.#exits(min, max) }
  }

  #between(min: number, max: number, builder: TokenSetBuilder): HeadTokens {
    builder.clear()
    eachOf(this.#open, 0, max, (token) => builder.add(token))
    eachOf(this.#closed, min, max, (token) => builder.add(token))
    return { tokens: builder.finish(), exits: this.#exits(min, max) }
  }

  #exits(min: number, max: number): HeadTokens['exits'] {
    const nodes: number[] = []
    eachOf(this.#ends, min, max, (node) => nodes.push(node))
    return exitsFrom(this.#trie, nodes)
  }
}

/** Values of `min` to `max` repeats. */
function eachOf(
  byCount: readonly (readonly number[] | undefined)[],
  min: number,
  max: number,
  visit: (value: number) => void,
): void {
  const last = Math.min(max, byCount.length - 1)
  for (let count = min; count <= last; count++) for (const value of byCount[count] ?? []) visit(value)
}
