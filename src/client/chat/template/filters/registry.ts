import { PythonError, UnsupportedError } from '../errors.ts'
import { type Arguments, type Value } from '../values/value.ts'
import { APPLYING_FILTERS } from './applying-filters.ts'
import type { Filter, Named } from './filter.ts'
import { NUMBER_FILTERS } from './number-filters.ts'
import { SEQUENCE_FILTERS } from './sequence-filters.ts'
import { TESTS, type Test, noTest } from './tests.ts'
import { TEXT_FILTERS } from './text-filters.ts'

const OWN = { ...TEXT_FILTERS, ...NUMBER_FILTERS, ...SEQUENCE_FILTERS, ...APPLYING_FILTERS }

const ALIASES = { d: 'default', e: 'escape', count: 'length' } as const

/** Filters of jinja2 that are not supported here. */
const MISSING = ['filesizeformat', 'pprint', 'random', 'striptags', 'urlize', 'wordwrap', 'xmlattr']

const missing =
  (name: string): Filter =>
  () => {
    throw new UnsupportedError(`the filter ${name}`)
  }

/** All filters that jinja2 has, as transformers sets it up. */
export const FILTERS: ReadonlyMap<string, Filter> = new Map([
  ...Object.entries(OWN),
  ...Object.entries(ALIASES).map(([alias, name]): [string, Filter] => [alias, OWN[name]!]),
  ...MISSING.map((name): [string, Filter] => [name, missing(name)]),
])

/** All tests that jinja2 has. */
export const ALL_TESTS: ReadonlyMap<string, Test> = new Map([
  ...TESTS,
  ['filter', ({ args }) => FILTERS.has(args[0] as string)],
  ['test', ({ args }) => ALL_TESTS.has(args[0] as string)],
])

/** Filters and tests by name. Both throw for names that do not exist. */
export const NAMED: Named = { filter: applyFilter, test: holds }

function applyFilter(name: string, given: Arguments): Value {
  const filter = FILTERS.get(name)
  if (filter === undefined) throw new PythonError('TemplateRuntimeError', `No filter named '${name}' found.`)
  return filter(given, NAMED)
}

function holds(name: string, given: Arguments): boolean {
  const test = ALL_TESTS.get(name)
  if (test === undefined) throw noTest(name)
  return test(given)
}
