import type { Term } from '../terms/term.ts'
import type { Terms } from '../terms/terms.ts'

/** Deepest indentation of a line. */
const MAX_INDENT = 64

/**
 * What may stand between the parts of a JSON value: nothing, a space, or a new line with its indentation. Bounded, so
 * that a model cannot go on in blanks.
 */
export function whitespace(terms: Terms): Term {
  const indent = ['\t', ' '].map((blank) => terms.repeat(terms.text(blank), 0, MAX_INDENT))
  const line = terms.concat(terms.optional(terms.text('\r')), terms.text('\n'), terms.or(indent))
  return terms.or([terms.epsilon, terms.text(' '), line])
}
