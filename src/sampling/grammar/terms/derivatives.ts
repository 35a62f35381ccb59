import { tooLarge } from '../errors.ts'
import { ByteClasses, hasByte } from './byte-set.ts'
import type { And, Term } from './term.ts'
import type { Terms } from './terms.ts'

/** Rows that may be made for one question before it is given up: about half a second. */
const MAX_NEW_ROWS = 10_000

/** The same for derivatives of parts: rows of terms with thousands of parts take a thousand times longer. */
const MAX_DERIVED = 5_000_000

/**
 * What may follow after a byte: Brzozowski's derivatives ("Derivatives of regular expressions", 1964), extended by
 * rules, so that a term also is the stack of what is open. Made when they are asked for, and kept by rows of 256.
 */
export class Derivatives {
  readonly #terms: Terms
  /** By a term's id: the ids of what follows after each byte; 0 is a dead end. */
  readonly #rows: (Int32Array | undefined)[] = []
  /** Of intersections: whether there is anything in them. */
  readonly #live = new Map<Term, boolean>()
  #numRows = 0
  #limit = Infinity
  /** Derivatives of parts of terms that were made: what the work is measured by. */
  #numDerived = 0
  #maxDerived = Infinity

  constructor(terms: Terms) {
    this.#terms = terms
  }

  /** How many rows of 1 KB there are. */
  get numRows(): number {
    return this.#numRows
  }

  /** Does work that is bounded. Throws `CONSTRAINT_TOO_LARGE`. */
  bounded<T>(work: () => T): T {
    if (this.#limit !== Infinity) return work()
    this.#limit = this.#numRows + this.#live.size + MAX_NEW_ROWS
    this.#maxDerived = this.#numDerived + MAX_DERIVED
    try {
      return work()
    } finally {
      this.#limit = Infinity
      this.#maxDerived = Infinity
    }
  }

  /** Ids of what follows after each byte. */
  row(id: number): Int32Array {
    return this.#rows[id] ?? this.#makeRow(id)
  }

  next(term: Term, byte: number): Term {
    return this.#terms.byId(this.row(term.id)[byte]!)
  }

  /** What follows after `bytes`. */
  after(term: Term, bytes: Iterable<number>): Term {
    let state = term
    for (const byte of bytes) state = this.next(state, byte)
    return state
  }

  /** An intersection, or `empty` if there is nothing in it. */
  and(terms: Iterable<Term>): Term {
    return this.#alive(this.#terms.and(terms))
  }

  #makeRow(id: number): Int32Array {
    const term = this.#terms.byId(id)
    const classes = new ByteClasses()
    splitByFirst(term, classes)
    const byClass = classes.representatives().map((byte) => this.#derive(term, byte).id)
    const row = new Int32Array(256)
    for (let byte = 0; byte < 256; byte++) row[byte] = byClass[classes.of[byte]!]!
    this.#rows[id] = row
    this.#numRows++
    this.#check()
    return row
  }

  #derive(term: Term, byte: number): Term {
    const terms = this.#terms
    this.#numDerived++
    switch (term.op) {
      case 'empty':
      case 'epsilon':
        return terms.empty
      case 'bytes':
        return hasByte(term.set, byte) ? terms.epsilon : terms.empty
      case 'literal':
        return term.bytes.charCodeAt(0) === byte ? terms.literal(term.bytes.slice(1)) : terms.empty
      case 'concat': {
        const first = terms.concat(this.#derive(term.head, byte), term.tail)
        return term.head.nullable ? terms.or([first, this.#derive(term.tail, byte)]) : first
      }
      case 'or':
        return terms.or(term.parts.map((part) => this.#derive(part, byte)))
      case 'and':
        return this.#alive(this.#deriveAll(term, byte))
      case 'not':
        return terms.not(this.#derive(term.term, byte))
      case 'repeat': {
        const { term: each, min, max } = term
        return terms.concat(this.#derive(each, byte), terms.repeat(each, Math.max(0, min - 1), max - 1))
      }
      case 'atom':
        return terms.atom(this.#derive(term.term, byte))
      case 'machine':
        return terms.machine(term.automaton, term.automaton.next(term.state, byte))
      case 'ref':
        return this.#derive(term.rule.term, byte)
    }
  }

  /** An intersection's derivative, which may be a dead end. */
  #deriveAll({ parts }: And, byte: number): Term {
    const derived: Term[] = []
    for (const part of parts) {
      const next = this.#derive(part, byte)
      if (next === this.#terms.empty) return next
      derived.push(next)
    }
    return this.#terms.and(derived)
  }

  /** The term itself, or `empty` where it is an intersection from which no end can be reached. */
  #alive(term: Term): Term {
    if (term.op !== 'and') return term
    if (!this.#live.has(term)) this.#search(term)
    return this.#live.get(term) === true ? term : this.#terms.empty
  }

  /** Depth first: all on the way to an end are alive; where the search is exhausted, nothing that it has seen is. */
  #search(from: And): void {
    const seen = new Set<Term>([from])
    const path: { readonly term: Term; readonly next: Term[] }[] = []
    const enter = (term: Term): boolean => {
      if (term.op !== 'and' || term.nullable || this.#live.get(term) === true) return true
      const classes = new ByteClasses()
      splitByFirst(term, classes)
      const followers = new Set(classes.representatives().map((byte) => this.#deriveAll(term, byte)))
      path.push({ term, next: [...followers] })
      return false
    }
    let found = enter(from)
    while (!found && path.length > 0) {
      const next = path.at(-1)!.next.pop()
      if (next === undefined) {
        path.pop()
      } else if (next !== this.#terms.empty && !seen.has(next) && this.#live.get(next) !== false) {
        seen.add(next)
        found = enter(next)
      }
      this.#check(seen.size)
    }
    if (found) for (const { term } of [{ term: from }, ...path]) this.#live.set(term, true)
    else for (const term of seen) this.#live.set(term, false)
  }

  #check(more = 0): void {
    if (this.#numRows + this.#live.size + more > this.#limit || this.#numDerived > this.#maxDerived)
      throw tooLarge('too many states at once')
  }
}

/** Splits the bytes into groups that lead to the same derivative. */
function splitByFirst(term: Term, classes: ByteClasses): void {
  switch (term.op) {
    case 'empty':
    case 'epsilon':
      return
    case 'bytes':
      return classes.split(term.set)
    case 'literal':
      return classes.splitByte(term.bytes.charCodeAt(0))
    case 'concat':
      splitByFirst(term.head, classes)
      if (term.head.nullable) splitByFirst(term.tail, classes)
      return
    case 'or':
    case 'and':
      for (const part of term.parts) splitByFirst(part, classes)
      return
    case 'not':
    case 'repeat':
    case 'atom':
      return splitByFirst(term.term, classes)
    case 'machine':
      return classes.splitByAll(term.automaton.sets)
    case 'ref':
      return splitByFirst(term.rule.term, classes)
  }
}
