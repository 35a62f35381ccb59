import { PythonError, UnsupportedError } from '../errors.ts'
import { isOfKind } from '../methods/text-kinds.ts'
import { type Parameter, bind } from '../values/bind.ts'
import { LoopContext } from '../values/loop-context.ts'
import { elementsOf } from '../values/iterate.ts'
import { type Comparison, asNumber, compare, isEqual, operate } from '../values/operators.ts'
import { toText } from '../values/print.ts'
import { type Arguments, Callable, Dict, DictView, Markup, PyObject, Undefined, type Value } from '../values/value.ts'
import { lengthOf } from '../values/iterate.ts'

/** A test; the value that it is asked about is the first argument. */
export type Test = (given: Arguments) => boolean

const unary = (name: string, holds: (value: Value) => boolean): Test => test(name, [], (value) => holds(value!))

function test(name: string, parameters: readonly Parameter[], holds: (...values: Value[]) => boolean): Test {
  const all: readonly Parameter[] = [['value'], ...parameters]
  return (given) => holds(...bind(name, all, given))
}

const comparing = (comparison: Comparison): Test =>
  test(comparison, [['other']], (value, other) => compare(comparison, value!, other!))

const remainder = (value: Value, by: Value, rest: bigint) => isEqual(operate('%', value, by), rest)

/** jinja2's tests but `filter` and `test`, which ask for names of the registry. */
export const TESTS: ReadonlyMap<string, Test> = new Map(
  Object.entries({
    odd: unary('odd', (value) => remainder(value, 2n, 1n)),
    even: unary('even', (value) => remainder(value, 2n, 0n)),
    divisibleby: test('divisibleby', [['num']], (value, num) => remainder(value!, num!, 0n)),
    defined: unary('defined', (value) => !(value instanceof Undefined)),
    undefined: unary('undefined', (value) => value instanceof Undefined),
    none: unary('none', (value) => value === null),
    boolean: unary('boolean', (value) => typeof value === 'boolean'),
    true: unary('true', (value) => value === true),
    false: unary('false', (value) => value === false),
    integer: unary('integer', (value) => typeof value === 'bigint'),
    float: unary('float', (value) => typeof value === 'number'),
    number: unary('number', (value) => asNumber(value) !== undefined),
    string: unary('string', (value) => typeof value === 'string' || value instanceof Markup),
    mapping: unary('mapping', (value) => value instanceof Dict),
    sequence: unary('sequence', (value) => lengthOf(value) !== undefined && !(value instanceof DictView)),
    iterable: unary('iterable', (value) => elementsOf(value) !== undefined || value instanceof LoopContext),
    callable: unary('callable', (value) => [Callable, LoopContext, Undefined].some((kind) => value instanceof kind)),
    escaped: unary('escaped', (value) => value instanceof Markup),
    lower: unary('lower', (value) => isOfKind(toText(value), 'islower')),
    upper: unary('upper', (value) => isOfKind(toText(value), 'isupper')),
    sameas: test('sameas', [['other']], (value, other) => isSame(value!, other!)),
    ...comparisons('==', 'eq', 'equalto', '=='),
    ...comparisons('!=', 'ne', '!='),
    ...comparisons('>', 'gt', 'greaterthan', '>'),
    ...comparisons('>=', 'ge', '>='),
    ...comparisons('<', 'lt', 'lessthan', '<'),
    ...comparisons('<=', 'le', '<='),
    ...comparisons('in', 'in'),
  }),
)

function comparisons(comparison: Comparison, ...names: string[]): Record<string, Test> {
  return Object.fromEntries(names.map((name) => [name, comparing(comparison)]))
}

/** Python's `is`. Throws where it depends on how Python stores equal values. */
function isSame(a: Value, b: Value): boolean {
  if (a === b && (a === null || typeof a === 'boolean' || a instanceof PyObject || Array.isArray(a))) return true
  if (typeof a !== typeof b || a instanceof PyObject || b instanceof PyObject || typeof a === 'boolean') return false
  if (a === null || b === null || Array.isArray(a) || !isEqual(a, b)) return false
  throw new UnsupportedError('the identity of equal numbers or texts')
}

/** The error of a name that is no test. */
export function noTest(name: string): PythonError {
  return new PythonError('TemplateRuntimeError', `No test named '${name}' found.`)
}
