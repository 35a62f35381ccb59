import { RegexCompiler } from '../regex/compile.ts'
import type { Derivatives } from '../terms/derivatives.ts'
import type { Term } from '../terms/term.ts'
import type { Terms } from '../terms/terms.ts'
import { type Json, isObject } from './json.ts'
import { stringCharacter } from './strings.ts'
import { whitespace } from './whitespace.ts'

/** The pieces of JSON that all schemas of a store share. */
export class JsonParts {
  readonly terms: Terms
  readonly derivatives: Derivatives
  readonly whitespace: Term
  readonly colon: Term
  readonly comma: Term
  /** A code point of a string in its one spelling: of property names, and of strings that a pattern describes. */
  readonly character: Term
  /** Patterns of strings, as JSON writes these. */
  readonly patterns: RegexCompiler

  constructor(terms: Terms, derivatives: Derivatives) {
    this.terms = terms
    this.derivatives = derivatives
    this.whitespace = whitespace(terms)
    this.colon = terms.concat(terms.text(':'), this.whitespace)
    this.comma = terms.concat(terms.text(','), this.whitespace)
    this.character = stringCharacter(terms)
    this.patterns = new RegexCompiler(terms, derivatives, (ranges) => stringCharacter(terms, ranges))
  }

  /** `{` or `[`, then `members`, which end with the closing bracket. */
  opened(bracket: string, members: Term): Term {
    return this.terms.concat(this.terms.text(bracket), this.whitespace, members)
  }

  /** One value, with any whitespace between its parts. */
  value(value: Json): Term {
    const { terms } = this
    if (Array.isArray(value))
      return this.#list(
        '[',
        value.map((each: Json) => this.value(each)),
        ']',
      )
    if (!isObject(value)) return terms.text(JSON.stringify(value))
    const members = Object.entries(value).map(([key, each]) =>
      terms.concat(this.name(key), this.colon, this.value(each)),
    )
    return this.#list('{', members, '}')
  }

  /** A property's name in quotes. */
  name(name: string): Term {
    return this.terms.text(JSON.stringify(name))
  }

  /** What stands between the quotes of a string. */
  body(text: string): Term {
    return this.terms.text(JSON.stringify(text).slice(1, -1))
  }

  /** Whether a term of what stands between quotes holds of a string. */
  isBody(term: Term, text: string): boolean {
    return this.derivatives.after(term, Buffer.from(JSON.stringify(text).slice(1, -1), 'utf8')).nullable
  }

  #list(open: string, items: readonly Term[], close: string): Term {
    const { terms, whitespace } = this
    const between = terms.concat(whitespace, this.comma)
    const separated = items.flatMap((item, i) => (i === 0 ? [item] : [between, item]))
    const end = items.length === 0 ? [] : [whitespace]
    return this.opened(open, terms.concat(...separated, ...end, terms.text(close)))
  }
}
