import { tooLarge } from '../errors.ts'
import { type ByteSet, byteSet, union } from './byte-set.ts'
import type { Automaton, Rule, Term } from './term.ts'

type Without<T> = T extends Term ? Omit<T, 'id' | 'nullable'> : never

/** The most terms of one store: far above what a sensible constraint makes; a few hundred bytes each. */
const MAX_TERMS = 400_000

/** The longest literal in bytes: each of its ends is a term of its own. */
const MAX_LITERAL = 64

/** All terms that are in use. Constructors give the simplest term that they know to be equal. */
export class Terms {
  readonly empty: Term
  readonly epsilon: Term
  /** Every byte string. */
  readonly all: Term
  readonly #byKey = new Map<string, Term>()
  readonly #byId: Term[] = []
  #numMachines = 0
  readonly #machines = new Map<Automaton, number>()
  #numRules = 0
  readonly #rules = new Map<Rule, number>()

  constructor() {
    this.empty = this.#intern('0', { op: 'empty' }, false)
    this.epsilon = this.#intern('1', { op: 'epsilon' }, true)
    this.all = this.#intern('!0', { op: 'not', term: this.empty }, true)
  }

  get size(): number {
    return this.#byId.length
  }

  byId(id: number): Term {
    return this.#byId[id]!
  }

  bytes(set: ByteSet): Term {
    if (set.every((word) => word === 0)) return this.empty
    return this.#intern(`b${set.join()}`, { op: 'bytes', set }, false)
  }

  /** One byte from `first` to `last`. */
  range(first: number, last: number): Term {
    return this.bytes(byteSet([[first, last]]))
  }

  /** A text in UTF-8. */
  text(text: string): Term {
    return this.literal(Buffer.from(text, 'utf8').toString('latin1'))
  }

  /** `bytes` has a character for each byte. */
  literal(bytes: string): Term {
    if (bytes === '') return this.epsilon
    if (bytes.length > MAX_LITERAL)
      return this.#concat(this.literal(bytes.slice(0, MAX_LITERAL)), this.literal(bytes.slice(MAX_LITERAL)))
    return this.#intern(`"${bytes}`, { op: 'literal', bytes }, false)
  }

  concat(...terms: readonly Term[]): Term {
    return terms.reduceRight((tail, head) => this.#concat(head, tail), this.epsilon)
  }

  #concat(head: Term, tail: Term): Term {
    if (head === this.empty || tail === this.empty) return this.empty
    if (head === this.epsilon) return tail
    if (tail === this.epsilon) return head
    if (head.op === 'concat') return this.#concat(head.head, this.#concat(head.tail, tail))
    if (head.op === 'literal') {
      const next = tail.op === 'concat' ? tail.head : tail
      if (next.op === 'literal' && head.bytes.length + next.bytes.length <= MAX_LITERAL) {
        const joined = this.literal(head.bytes + next.bytes)
        return tail.op === 'concat' ? this.#concat(joined, tail.tail) : joined
      }
    }
    return this.#intern(`.${head.id},${tail.id}`, { op: 'concat', head, tail }, head.nullable && tail.nullable)
  }

  or(terms: Iterable<Term>): Term {
    const parts = new Set<Term>()
    let bytes: ByteSet | undefined
    const add = (term: Term): void => {
      if (term.op === 'or') for (const part of term.parts) add(part)
      else if (term.op === 'bytes') bytes = bytes === undefined ? term.set : union(bytes, term.set)
      else if (term !== this.empty) parts.add(term)
    }
    for (const term of terms) add(term)
    if (bytes !== undefined) parts.add(this.bytes(bytes))
    if (parts.has(this.all)) return this.all
    const sorted = [...parts].sort((a, b) => a.id - b.id)
    if (sorted.length < 2) return sorted[0] ?? this.empty
    const nullable = sorted.some((part) => part.nullable)
    return this.#intern(`|${sorted.map(({ id }) => id).join()}`, { op: 'or', parts: sorted }, nullable)
  }

  optional(term: Term): Term {
    return this.or([term, this.epsilon])
  }

  /** Whether there is anything in the intersection is not known yet: see `Derivatives.live`. */
  and(terms: Iterable<Term>): Term {
    const parts = new Set<Term>()
    for (const term of terms) for (const part of term.op === 'and' ? term.parts : [term]) parts.add(part)
    parts.delete(this.all)
    if (parts.has(this.empty)) return this.empty
    if (parts.size === 0) return this.all
    const nullable = [...parts].every((part) => part.nullable)
    if (parts.has(this.epsilon)) return nullable ? this.epsilon : this.empty
    const sorted = [...parts].sort((a, b) => a.id - b.id)
    if (sorted.length === 1 && sorted[0]!.op !== 'not' && sorted[0]!.op !== 'machine') return sorted[0]!
    return this.#intern(`&${sorted.map(({ id }) => id).join()}`, { op: 'and', parts: sorted }, nullable)
  }

  not(term: Term): Term {
    return term.op === 'not' ? term.term : this.#intern(`!${term.id}`, { op: 'not', term }, !term.nullable)
  }

  repeat(term: Term, min = 0, max = Infinity): Term {
    if (max < min || (term === this.empty && min > 0)) return this.empty
    if (max === 0 || term === this.empty || term === this.epsilon) return this.epsilon
    if (min === 1 && max === 1) return term
    const least = term.nullable ? 0 : min
    return this.#intern(`*${term.id},${least},${max}`, { op: 'repeat', term, min: least, max }, least === 0)
  }

  atom(term: Term): Term {
    const { op } = term
    if (op === 'empty' || op === 'epsilon' || op === 'atom' || op === 'literal' || op === 'bytes') return term
    return this.#intern(`a${term.id}`, { op: 'atom', term }, term.nullable)
  }

  /** A state of an automaton; one that can become a dead end has its place in an `and`. */
  machine(automaton: Automaton, state = 0): Term {
    if (state < 0) return this.empty
    let number = this.#machines.get(automaton)
    if (number === undefined) this.#machines.set(automaton, (number = this.#numMachines++))
    return this.#intern(`m${number},${state}`, { op: 'machine', automaton, state }, automaton.accepts(state))
  }

  ref(rule: Rule): Term {
    let number = this.#rules.get(rule)
    if (number === undefined) this.#rules.set(rule, (number = this.#numRules++))
    return this.#intern(`r${number}`, { op: 'ref', rule }, false)
  }

  #intern(key: string, parts: Without<Term>, nullable: boolean): Term {
    const known = this.#byKey.get(key)
    if (known !== undefined) return known
    if (this.#byId.length >= MAX_TERMS) throw tooLarge(`more than ${MAX_TERMS} states`)
    const term = { id: this.#byId.length, nullable, ...parts } as Term
    this.#byKey.set(key, term)
    this.#byId.push(term)
    return term
  }
}
