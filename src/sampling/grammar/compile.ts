import { invalid, unsatisfiable, unsupported } from './errors.ts'
import type { Constraint } from './constraint.ts'
import { anyText } from './any-text.ts'
import { textUntil, textWithout } from './free-text.ts'
import { JsonParts } from './json/parts.ts'
import { RegexCompiler } from './regex/compile.ts'
import { RegexProblem, parseRegex } from './regex/parse.ts'
import { compileSchema } from './schema/compile.ts'
import { utf8 } from './terms/code-points.ts'
import { Derivatives } from './terms/derivatives.ts'
import type { Term } from './terms/term.ts'
import { Terms } from './terms/terms.ts'
import { SPECIAL_BYTE } from './tokens/vocabulary.ts'

/** Turns constraints into terms of one store. */
export class ConstraintCompiler {
  readonly terms = new Terms()
  readonly derivatives = new Derivatives(this.terms)
  readonly #json = new JsonParts(this.terms, this.derivatives)
  readonly #patterns = new RegexCompiler(this.terms, this.derivatives, (ranges) => utf8(this.terms, ranges))

  /**
   * All texts that fulfil a constraint. Throws `CONSTRAINT_UNSUPPORTED` for what cannot be enforced,
   * `CONSTRAINT_INVALID`, `CONSTRAINT_UNSATISFIABLE` where there is no such text, and `CONSTRAINT_TOO_LARGE`.
   */
  compile(constraint: Constraint): Term {
    const term = this.derivatives.bounded(() => this.#compile(constraint))
    if (term === this.terms.empty) throw unsatisfiable('the constraint', 'no text fulfils it')
    return term
  }

  #compile(constraint: Constraint): Term {
    const { terms } = this
    switch (constraint.kind) {
      case 'json_object':
        return this.#schema({ type: 'object' }, false)
      case 'json_schema':
        return this.#schema(constraint.schema, constraint.strict === true)
      case 'regex':
        return this.#regex(constraint.pattern)
      case 'choice':
        return anyText(terms, constraint.texts)
      case 'marker':
        return this.#marker(constraint.text)
      case 'text':
        return 'until' in constraint ? terms.machine(textUntil(constraint.until)) : this.#without(constraint.without)
      case 'sequence':
        return terms.concat(...constraint.parts.map((part) => this.#compile(part)))
      case 'any_of':
        return terms.or(constraint.options.map((option) => this.#compile(option)))
      case 'repeat':
        return this.#repeat(this.#compile(constraint.part), constraint.min, constraint.max ?? Infinity)
    }
  }

  /** A JSON value, before which a model may end a line or two. */
  #schema(schema: Extract<Constraint, { kind: 'json_schema' }>['schema'], strict: boolean): Term {
    const { terms } = this
    const before = terms.or(['', ' ', '\n', '\n\n'].map((blank) => terms.text(blank)))
    return terms.concat(before, compileSchema(this.#json, schema, { strict }))
  }

  #regex(pattern: string): Term {
    try {
      return this.#patterns.whole(parseRegex(pattern))
    } catch (error) {
      if (!(error instanceof RegexProblem)) throw error
      throw unsupported('the constraint', 'pattern', `${JSON.stringify(pattern)}: ${error.construct} ${error.message}`)
    }
  }

  #marker(text: string): Term {
    const { terms } = this
    return terms.or([terms.text(text), terms.concat(terms.range(SPECIAL_BYTE, SPECIAL_BYTE), terms.text(text))])
  }

  #without(markers: readonly string[]): Term {
    return this.derivatives.and(markers.map((marker) => this.terms.machine(textWithout(marker))))
  }

  #repeat(part: Term, min: number, max: number): Term {
    if (max < min) throw invalid('repeat', `max ${max} is below min ${min}`)
    return this.terms.repeat(part, min, max)
  }
}
