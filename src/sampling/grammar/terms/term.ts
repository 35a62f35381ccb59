import type { ByteSet } from './byte-set.ts'

/**
 * A description of a set of byte strings, and at the same time the state of a text that is being written: what may
 * still follow. Terms are made by `Terms`; equal ones are the same object.
 */
export type Term = Empty | Epsilon | Bytes | Literal | Concat | Or | And | Not | Repeat | Atom | Machine | Ref

interface Common {
  readonly id: number
  /** Whether the empty string is in the set: the text may end here. */
  readonly nullable: boolean
}

/** Nothing: a dead end. */
export type Empty = Common & { readonly op: 'empty' }

/** The empty string alone: the text is complete, and nothing follows. */
export type Epsilon = Common & { readonly op: 'epsilon' }

/** One byte out of a set. */
export type Bytes = Common & { readonly op: 'bytes'; readonly set: ByteSet }

/** These bytes, a character each, of which there is at least one. */
export type Literal = Common & { readonly op: 'literal'; readonly bytes: string }

/** One after the other; `head` is no concatenation itself. */
export type Concat = Common & { readonly op: 'concat'; readonly head: Term; readonly tail: Term }

export type Or = Common & { readonly op: 'or'; readonly parts: readonly Term[] }

/** What is in all of the sets. Its parts have no `Ref`: that they have something in common is decided by searching. */
export type And = Common & { readonly op: 'and'; readonly parts: readonly Term[] }

/** Everything else. Only within an `And`. */
export type Not = Common & { readonly op: 'not'; readonly term: Term }

/** `max` may be Infinity. */
export type Repeat = Common & { readonly op: 'repeat'; readonly term: Term; readonly min: number; readonly max: number }

/**
 * The same as its term. It stays a unit within concatenations, so that what is known of its tokens is found again
 * wherever it stands: strings and numbers are atoms.
 */
export type Atom = Common & { readonly op: 'atom'; readonly term: Term }

/** A state of an automaton; only within an `And` if some of its states are dead ends. */
export type Machine = Common & { readonly op: 'machine'; readonly automaton: Automaton; readonly state: number }

/** What a rule stands for, which may lead back to the rule itself. Never empty, and never the empty string. */
export type Ref = Common & { readonly op: 'ref'; readonly rule: Rule }

/** A deterministic automaton over bytes, whose states are whole numbers from 0. */
export interface Automaton {
  /** Sets of bytes that lead to the same state each, wherever it is in one of them. */
  readonly sets: readonly ByteSet[]
  /** The next state, or -1 if there is none. */
  next(state: number, byte: number): number
  accepts(state: number): boolean
}

/** A name for a term that is made when it is first needed. */
export class Rule {
  readonly #make: () => Term
  #term: Term | undefined

  constructor(make: () => Term) {
    this.#make = make
  }

  get term(): Term {
    return (this.#term ??= this.#make())
  }
}
