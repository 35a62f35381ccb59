import type { CodePoints } from '../terms/code-points.ts'
import type { Derivatives } from '../terms/derivatives.ts'
import type { Term } from '../terms/term.ts'
import type { Terms } from '../terms/terms.ts'
import { type Regex, RegexProblem } from './parse.ts'

/** How a character of a text is written: as it is, or as a JSON string has it. */
export type Spelling = (ranges: CodePoints) => Term

/** Where a piece of a pattern stands: whether the text begins there, and what follows. */
interface Place {
  readonly atStart: boolean
  readonly rest: Term
}

/** Compiles patterns. Throws `RegexProblem`. */
export class RegexCompiler {
  readonly #terms: Terms
  readonly #derivatives: Derivatives
  readonly #spell: Spelling
  /** Any text. */
  readonly #any: Term

  constructor(terms: Terms, derivatives: Derivatives, spell: Spelling) {
    this.#terms = terms
    this.#derivatives = derivatives
    this.#spell = spell
    this.#any = terms.repeat(spell([[0, 0x10ffff]]))
  }

  /** All texts that are matched as a whole. */
  whole(regex: Regex): Term {
    return this.#compile(regex, { atStart: true, rest: this.#terms.epsilon })
  }

  /** All texts in which the pattern is found, as JSON Schema and `RegExp.test` have it. */
  found(regex: Regex): Term {
    const here = this.#compile(regex, { atStart: true, rest: this.#any })
    const later = this.#compile(regex, { atStart: false, rest: this.#any })
    return this.#terms.or([here, this.#terms.concat(this.#any, later)])
  }

  /** What `regex` matches at a place, together with what follows there. */
  #compile(regex: Regex, place: Place): Term {
    const terms = this.#terms
    switch (regex.kind) {
      case 'characters':
        return terms.concat(this.#spell(regex.ranges), place.rest)
      case 'sequence':
        return this.#sequence(regex.items, place)
      case 'choice':
        return terms.or(regex.options.map((option) => this.#compile(option, place)))
      case 'repeat':
        return terms.concat(this.#alone(regex), place.rest)
      case 'start':
        return place.atStart ? place.rest : terms.empty
      case 'end':
        return place.rest.nullable ? terms.epsilon : terms.empty
      case 'ahead': {
        const next = this.#compile(regex.item, { atStart: place.atStart, rest: terms.all })
        return this.#derivatives.and([regex.negative ? terms.not(next) : next, place.rest])
      }
    }
  }

  #sequence(items: readonly Regex[], { atStart, rest }: Place): Term {
    let following = rest
    const firstWithLength = items.findIndex((item) => !hasNoLength(item))
    const lastAtStart = firstWithLength === -1 ? items.length : firstWithLength
    for (let i = items.length - 1; i >= 0; i--) {
      following = this.#compile(items[i]!, { atStart: atStart && i <= lastAtStart, rest: following })
    }
    return following
  }

  /** A piece that does not depend on its place. */
  #alone(regex: Regex): Term {
    const terms = this.#terms
    switch (regex.kind) {
      case 'characters':
        return this.#spell(regex.ranges)
      case 'sequence':
        return terms.concat(...regex.items.map((item) => this.#alone(item)))
      case 'choice':
        return terms.or(regex.options.map((option) => this.#alone(option)))
      case 'repeat':
        return terms.repeat(this.#alone(regex.item), regex.min, regex.max)
      case 'start':
      case 'end':
        throw new RegexProblem(regex.kind === 'start' ? '^' : '$', 'within what is repeated is not supported')
      case 'ahead':
        throw new RegexProblem(regex.negative ? '(?!' : '(?=', 'within what is repeated is not supported')
    }
  }
}

/** Whether it takes no characters wherever it matches. */
function hasNoLength(regex: Regex): boolean {
  if (regex.kind === 'sequence') return regex.items.every(hasNoLength)
  if (regex.kind === 'choice') return regex.options.every(hasNoLength)
  return regex.kind === 'start' || regex.kind === 'ahead' || regex.kind === 'end'
}
