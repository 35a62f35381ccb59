import type { Term } from './terms/term.ts'
import type { Terms } from './terms/terms.ts'

/**
 * Any one of some texts. What they begin with in common is there once, so that what may follow after a byte is found in
 * the time that few of them take, however many there are.
 */
export function anyText(terms: Terms, texts: readonly string[]): Term {
  const sorted = [...new Set(texts)].map((text) => Buffer.from(text, 'utf8').toString('latin1')).sort()
  return anyOf(terms, sorted, { from: 0, until: sorted.length, at: 0 })
}

/** Of `sorted`, which have a character for each byte: those in a range, which are equal before `at`, from there on. */
function anyOf(
  terms: Terms,
  sorted: readonly string[],
  { from, until, at }: { readonly from: number; readonly until: number; readonly at: number },
): Term {
  const options: Term[] = []
  let first = from
  if (sorted[first]!.length === at) {
    options.push(terms.epsilon)
    first++
  }
  while (first < until) {
    let last = first
    while (last + 1 < until && sorted[last + 1]!.charCodeAt(at) === sorted[first]!.charCodeAt(at)) last++
    const end = at + commonLength(sorted[first]!.slice(at), sorted[last]!.slice(at))
    const rest = anyOf(terms, sorted, { from: first, until: last + 1, at: end })
    options.push(terms.concat(terms.literal(sorted[first]!.slice(at, end)), rest))
    first = last + 1
  }
  return terms.or(options)
}

/** How much two texts have in common: as much as all that are between them. */
function commonLength(a: string, b: string): number {
  let length = 0
  while (length < a.length && a.charCodeAt(length) === b.charCodeAt(length)) length++
  return length
}
