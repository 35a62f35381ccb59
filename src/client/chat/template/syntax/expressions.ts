import type { Comparison, Operator } from '../values/operators.ts'
import type { CallArguments, Expression } from './nodes.ts'
import type { TokenStream } from './token-stream.ts'

const CONSTANTS = new Map<string, null | boolean>([
  ['true', true],
  ['True', true],
  ['false', false],
  ['False', false],
  ['none', null],
  ['None', null],
])

/** True for names that are values of their own and cannot be assigned to. */
export const isConstantName = (name: string): boolean => CONSTANTS.has(name)

const NO_ARGUMENTS: CallArguments = { args: [], kwargs: [], spread: undefined, spreadNamed: undefined }

/** How a tuple without parentheses is read. */
export interface TupleOptions {
  readonly withChoice?: boolean
  /** A name that ends it. */
  readonly endsAt?: string
  /** Whether an empty one is allowed. */
  readonly inParentheses?: boolean
}

/** Reads an expression, or several with commas between, which are a tuple. */
export function parseTuple(
  stream: TokenStream,
  { withChoice = true, endsAt, inParentheses }: TupleOptions = {},
): Expression {
  const items: Expression[] = []
  let isTuple = false
  const atEnd = () =>
    stream.is('variable_end') ||
    stream.is('block_end') ||
    stream.is('op', ')') ||
    (endsAt !== undefined && stream.is('name', endsAt))
  for (;;) {
    if (items.length > 0) stream.expect('op', ',')
    if (atEnd()) break
    items.push(parseExpression(stream, withChoice))
    if (!stream.is('op', ',')) break
    isTuple = true
  }
  if (isTuple) return { kind: 'tuple', items }
  if (items[0] !== undefined) return items[0]
  if (!inParentheses) throw stream.error(`Expected an expression, got '${stream.current.value || stream.current.type}'`)
  return { kind: 'tuple', items }
}

/** Reads an expression; `a if b else c` only where `withChoice`. */
export function parseExpression(stream: TokenStream, withChoice = true): Expression {
  return withChoice ? parseChoice(stream) : parseOr(stream)
}

function parseChoice(stream: TokenStream): Expression {
  let expression = parseOr(stream)
  while (stream.skip('name', 'if')) {
    const test = parseOr(stream)
    const otherwise = stream.skip('name', 'else') ? parseChoice(stream) : undefined
    expression = { kind: 'choose', test, chosen: expression, otherwise }
  }
  return expression
}

function parseOr(stream: TokenStream): Expression {
  let left = parseAnd(stream)
  while (stream.skip('name', 'or')) left = { kind: 'or', left, right: parseAnd(stream) }
  return left
}

function parseAnd(stream: TokenStream): Expression {
  let left = parseNot(stream)
  while (stream.skip('name', 'and')) left = { kind: 'and', left, right: parseNot(stream) }
  return left
}

function parseNot(stream: TokenStream): Expression {
  return stream.skip('name', 'not') ? { kind: 'not', of: parseNot(stream) } : parseCompare(stream)
}

function parseCompare(stream: TokenStream): Expression {
  const first = parseSum(stream)
  const rest: [Comparison, Expression][] = []
  for (;;) {
    if (stream.is('op', '==', '!=', '<', '<=', '>', '>='))
      rest.push([stream.next().value as Comparison, parseSum(stream)])
    else if (stream.skip('name', 'in')) rest.push(['in', parseSum(stream)])
    else if (stream.is('name', 'not') && stream.ahead.type === 'name' && stream.ahead.value === 'in') {
      stream.next()
      stream.next()
      rest.push(['not in', parseSum(stream)])
    } else return rest.length === 0 ? first : { kind: 'compare', first, rest }
  }
}

function binary(
  stream: TokenStream,
  operators: readonly Operator[],
  operand: (stream: TokenStream) => Expression,
): Expression {
  let left = operand(stream)
  while (stream.is('op', ...operators))
    left = { kind: 'operate', operator: stream.next().value as Operator, left, right: operand(stream) }
  return left
}

const parseSum = (stream: TokenStream): Expression => binary(stream, ['+', '-'], parseConcatenation)

function parseConcatenation(stream: TokenStream): Expression {
  const parts = [parseProduct(stream)]
  while (stream.skip('op', '~')) parts.push(parseProduct(stream))
  return parts.length === 1 ? parts[0]! : { kind: 'concatenate', parts }
}

const parseProduct = (stream: TokenStream): Expression => binary(stream, ['*', '/', '//', '%'], parsePower)

const parsePower = (stream: TokenStream): Expression => binary(stream, ['**'], parseUnary)

function parseUnary(stream: TokenStream): Expression {
  return filtered(stream, signed(stream))
}

/** A sign binds closer than a filter, a power farther: `-2 ** 2` is 4 and `-x | abs` the value of `-x`. */
function signed(stream: TokenStream): Expression {
  if (stream.is('op', '+', '-')) {
    const operator = stream.next().value as '+' | '-'
    return { kind: 'sign', operator, of: signed(stream) }
  }
  return parsePostfix(stream, parsePrimary(stream))
}

/** Reads a name, a literal, or an expression in brackets. */
function parsePrimary(stream: TokenStream): Expression {
  const { type, value } = stream.current
  if (type === 'name') {
    stream.next()
    const constant = CONSTANTS.get(value)
    if (constant !== undefined) return { kind: 'constant', value: constant }
    stream.names.push(value)
    return { kind: 'name', name: value }
  }
  if (type === 'string') {
    let text = ''
    while (stream.is('string')) text += stream.next().value
    return { kind: 'constant', value: text }
  }
  if (type === 'integer' || type === 'float') {
    stream.next()
    return { kind: 'constant', value: type === 'integer' ? BigInt(value) : Number(value) }
  }
  if (stream.skip('op', '(')) {
    const inner = parseTuple(stream, { inParentheses: true })
    stream.expect('op', ')')
    return inner
  }
  if (stream.is('op', '[')) return { kind: 'list', items: parseItems(stream, '[', ']', parseExpression) }
  if (stream.is('op', '{')) return { kind: 'dict', entries: parseItems(stream, '{', '}', parseEntry) }
  throw stream.error(`unexpected '${value || type}'`)
}

function parseItems<T>(stream: TokenStream, open: string, close: string, parse: (stream: TokenStream) => T): T[] {
  stream.expect('op', open)
  const items: T[] = []
  while (!stream.is('op', close)) {
    if (items.length > 0) stream.expect('op', ',')
    if (stream.is('op', close)) break
    items.push(parse(stream))
  }
  stream.expect('op', close)
  return items
}

function parseEntry(stream: TokenStream): [Expression, Expression] {
  const key = parseExpression(stream)
  stream.expect('op', ':')
  return [key, parseExpression(stream)]
}

/** Reads what follows a value directly: attributes, items and calls. */
function parsePostfix(stream: TokenStream, value: Expression): Expression {
  let of = value
  for (;;) {
    if (stream.skip('op', '.')) of = parseAttribute(stream, of)
    else if (stream.is('op', '[')) of = parseSubscript(stream, of)
    else if (stream.is('op', '(')) of = { kind: 'call', of, given: parseArguments(stream) }
    else return of
  }
}

function parseAttribute(stream: TokenStream, of: Expression): Expression {
  const { type, value } = stream.next()
  if (type === 'name') return { kind: 'attribute', of, name: value }
  if (type !== 'integer') throw stream.error('expected name or number')
  return { kind: 'item', of, key: { kind: 'constant', value: BigInt(value) } }
}

function parseSubscript(stream: TokenStream, of: Expression): Expression {
  stream.expect('op', '[')
  const items: Expression[] = []
  while (!stream.is('op', ']')) {
    if (items.length > 0) stream.expect('op', ',')
    const key = stream.is('op', ':') ? undefined : parseExpression(stream)
    if (!stream.is('op', ':')) {
      items.push(key!)
      continue
    }
    const bounds = [key, parseBound(stream), parseBound(stream)]
    if (items.length > 0 || !stream.is('op', ']')) throw stream.error('a slice within a tuple is not supported here')
    stream.expect('op', ']')
    return { kind: 'slice', of, bounds }
  }
  stream.expect('op', ']')
  return { kind: 'item', of, key: items.length === 1 ? items[0]! : { kind: 'tuple', items } }
}

function parseBound(stream: TokenStream): Expression | undefined {
  if (!stream.skip('op', ':')) return undefined
  return stream.is('op', ':', ']', ',') ? undefined : parseExpression(stream)
}

/** Reads the arguments of a call in parentheses. */
function parseArguments(stream: TokenStream): CallArguments {
  const args: Expression[] = []
  const kwargs: [string, Expression][] = []
  let spread: Expression | undefined
  let spreadNamed: Expression | undefined
  const ensure = (allowed: boolean) => {
    if (!allowed) throw stream.error('invalid syntax for function call expression')
  }
  parseItems(stream, '(', ')', () => {
    if (stream.is('op', '*')) {
      ensure(spread === undefined && spreadNamed === undefined)
      stream.next()
      spread = parseExpression(stream)
    } else if (stream.skip('op', '**')) {
      ensure(spreadNamed === undefined)
      spreadNamed = parseExpression(stream)
    } else if (stream.is('name') && stream.ahead.type === 'op' && stream.ahead.value === '=') {
      ensure(spreadNamed === undefined)
      const name = stream.next().value
      stream.next()
      ensure(!kwargs.some(([given]) => given === name))
      kwargs.push([name, parseExpression(stream)])
    } else {
      ensure(spread === undefined && spreadNamed === undefined && kwargs.length === 0)
      args.push(parseExpression(stream))
    }
  })
  return { args, kwargs, spread, spreadNamed }
}

/** Reads filters, tests and calls behind a value. */
function filtered(stream: TokenStream, value: Expression): Expression {
  let of = value
  for (;;) {
    if (stream.is('op', '|')) of = parseFilters(stream, of)!
    else if (stream.is('name', 'is')) of = parseTest(stream, of)
    else if (stream.is('op', '(')) of = { kind: 'call', of, given: parseArguments(stream) }
    else return of
  }
}

/** Reads `| a | b(c)`; `inline` is the form of `{% filter a | b %}`, whose first filter has no '|'. */
export function parseFilters(
  stream: TokenStream,
  value: Expression | undefined,
  inline = false,
): Expression | undefined {
  let of = value
  for (let first = inline; first || stream.is('op', '|'); first = false) {
    if (!first) stream.next()
    const name = dottedName(stream)
    const given = stream.is('op', '(') ? parseArguments(stream) : NO_ARGUMENTS
    of = { kind: 'filter', name, of, given }
  }
  return of
}

function parseTest(stream: TokenStream, of: Expression): Expression {
  stream.expect('name', 'is')
  const negated = stream.skip('name', 'not')
  const name = dottedName(stream)
  const test: Expression = { kind: 'test', name, of, given: testArguments(stream) }
  return negated ? { kind: 'not', of: test } : test
}

function testArguments(stream: TokenStream): CallArguments {
  if (stream.is('op', '(')) return parseArguments(stream)
  const follows = ['name', 'string', 'integer', 'float'].includes(stream.current.type) || stream.is('op', '[', '{')
  if (!follows || stream.is('name', 'else', 'or', 'and')) return NO_ARGUMENTS
  if (stream.is('name', 'is')) throw stream.error('You cannot chain multiple tests with is')
  return { ...NO_ARGUMENTS, args: [parsePostfix(stream, parsePrimary(stream))] }
}

function dottedName(stream: TokenStream): string {
  let name = stream.expect('name').value
  while (stream.skip('op', '.')) name += `.${stream.expect('name').value}`
  return name
}
