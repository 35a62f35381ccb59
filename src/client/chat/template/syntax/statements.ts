import { UnsupportedError } from '../errors.ts'
import { isConstantName, parseExpression, parseFilters, parseTuple } from './expressions.ts'
import type { MacroNode, Signature, Statement, Target } from './nodes.ts'
import { TokenStream } from './token-stream.ts'
import { tokenize } from './tokens.ts'

/** Statements of jinja2 that need other templates, or HTML. */
const UNSUPPORTED = new Set(['extends', 'block', 'include', 'import', 'from', 'autoescape'])

/** Names that a macro knows without declaring them. */
const IMPLICIT = ['varargs', 'kwargs', 'caller']

/**
 * Reads a whole template. Throws as jinja2 does, or an `UnsupportedError` for a statement that is not supported here.
 */
export function parseTemplate(template: string): Statement[] {
  return parseBody(new TokenStream(tokenize(template)), [])
}

/** Reads until a tag of one of these names, which stays current, or to the template's end if there are none. */
function parseBody(stream: TokenStream, ends: readonly string[]): Statement[] {
  const body: Statement[] = []
  while (!stream.is('eof')) {
    if (stream.is('data')) body.push({ kind: 'data', text: stream.next().value })
    else if (stream.skip('variable_begin')) {
      body.push({ kind: 'print', value: parseTuple(stream) })
      stream.expect('variable_end')
    } else {
      stream.expect('block_begin')
      if (ends.length > 0 && stream.is('name', ...ends)) return body
      body.push(...parseStatement(stream))
      stream.expect('block_end')
    }
  }
  if (ends.length > 0) throw stream.error(`Unexpected end of template: ${ends.join(' or ')} is missing`)
  return body
}

/** Reads the body of a statement from the end of its tag; returns it and the name of the tag that ended it. */
function parseBlock(stream: TokenStream, ...ends: string[]): { body: Statement[]; end: string } {
  stream.skip('op', ':')
  stream.expect('block_end')
  const body = parseBody(stream, ends)
  return { body, end: stream.expect('name').value }
}

/** Reads a body that runs as a function of its own, so that no `break` in it leaves a loop around it. */
function parseApart(stream: TokenStream, end: string): Statement[] {
  const loops = stream.loops
  stream.loops = 0
  const { body } = parseBlock(stream, end)
  stream.loops = loops
  return body
}

function parseStatement(stream: TokenStream): Statement[] {
  const { value: name } = stream.expect('name')
  switch (name) {
    case 'for':
      return [parseFor(stream)]
    case 'if':
      return [parseIf(stream)]
    case 'set':
      return [parseSet(stream)]
    case 'macro':
      return [parseMacro(stream)]
    case 'call':
      return [parseCallBlock(stream)]
    case 'filter':
      return [parseFilterBlock(stream)]
    case 'with':
      return [parseWith(stream)]
    case 'print':
      return parsePrint(stream)
    case 'generation':
      return [{ kind: 'generation', body: parseApart(stream, 'endgeneration') }]
    case 'break':
    case 'continue':
      if (stream.loops === 0) throw stream.error(`'${name}' outside loop`)
      return [{ kind: name }]
    default:
      if (UNSUPPORTED.has(name)) throw new UnsupportedError(`{% ${name} %}`)
      throw stream.error(`Encountered unknown tag '${name}'`)
  }
}

function parseFor(stream: TokenStream): Statement {
  const target = parseTarget(stream, { endsAt: 'in' })
  if (namesOf(target).includes('loop')) throw stream.error("Can't assign to special loop variable in for-loop target")
  stream.expect('name', 'in')
  const iterable = parseTuple(stream, { withChoice: false, endsAt: 'recursive' })
  const test = stream.skip('name', 'if') ? parseExpression(stream) : undefined
  const recursive = stream.skip('name', 'recursive')
  stream.loops++
  const { body, end } = parseBlock(stream, 'endfor', 'else')
  stream.loops--
  // A recursive loop is a function of its own, its `else` included.
  const parse = recursive ? parseApart : (of: TokenStream, tag: string) => parseBlock(of, tag).body
  const otherwise = end === 'else' ? parse(stream, 'endfor') : []
  return { kind: 'for', target, iterable, test, recursive, body, otherwise }
}

function parseIf(stream: TokenStream): Statement {
  const branches = []
  for (let end = 'elif'; end !== 'endif';) {
    const test = end === 'elif' ? parseTuple(stream, { withChoice: false }) : undefined
    const block = end === 'elif' ? parseBlock(stream, 'elif', 'else', 'endif') : parseBlock(stream, 'endif')
    branches.push({ test, body: block.body })
    end = block.end
  }
  return { kind: 'if', branches }
}

function parseSet(stream: TokenStream): Statement {
  const target = parseTarget(stream, { withFields: true })
  if (stream.skip('op', '=')) return { kind: 'set', target, value: parseTuple(stream) }
  const filter = parseFilters(stream, undefined)
  return { kind: 'setBlock', target, filter, body: parseBlock(stream, 'endset').body }
}

function parseMacro(stream: TokenStream): Statement {
  const name = parseName(stream)
  return macroNode(stream, name, parseSignature(stream), 'endmacro')
}

/** Reads a macro's body, and which of its implicit parameters that names. */
function macroNode(stream: TokenStream, name: string, signature: Signature, end: string): MacroNode {
  const before = stream.names.length
  const body = parseApart(stream, end)
  const read = new Set(stream.names.slice(before))
  const accepts = new Set(IMPLICIT.filter((implicit) => read.has(implicit)))
  return { kind: 'macro', name, signature, body, accepts }
}

function parseSignature(stream: TokenStream): Signature {
  const parameters: [string, ReturnType<typeof parseExpression> | undefined][] = []
  stream.expect('op', '(')
  while (!stream.is('op', ')')) {
    if (parameters.length > 0) stream.expect('op', ',')
    const name = parseName(stream)
    const ifAbsent = stream.skip('op', '=') ? parseExpression(stream) : undefined
    if (ifAbsent === undefined && parameters.at(-1)?.[1] !== undefined)
      throw stream.error('non-default argument follows default argument')
    parameters.push([name, ifAbsent])
  }
  stream.expect('op', ')')
  return { parameters }
}

function parseCallBlock(stream: TokenStream): Statement {
  const signature = stream.is('op', '(') ? parseSignature(stream) : { parameters: [] }
  const call = parseExpression(stream)
  if (call.kind !== 'call') throw stream.error('expected call')
  return { kind: 'callBlock', call, macro: macroNode(stream, 'caller', signature, 'endcall') }
}

function parseFilterBlock(stream: TokenStream): Statement {
  const filter = parseFilters(stream, undefined, true)!
  return { kind: 'filterBlock', filter, body: parseBlock(stream, 'endfilter').body }
}

function parseWith(stream: TokenStream): Statement {
  const bindings: [Target, ReturnType<typeof parseExpression>][] = []
  while (!stream.is('block_end')) {
    if (bindings.length > 0) stream.expect('op', ',')
    const target = parseTarget(stream)
    stream.expect('op', '=')
    bindings.push([target, parseExpression(stream)])
  }
  return { kind: 'with', bindings, body: parseBlock(stream, 'endwith').body }
}

function parsePrint(stream: TokenStream): Statement[] {
  const printed: Statement[] = []
  while (!stream.is('block_end')) {
    if (printed.length > 0) stream.expect('op', ',')
    printed.push({ kind: 'print', value: parseExpression(stream) })
  }
  return printed
}

function parseTarget(stream: TokenStream, options: { endsAt?: string; withFields?: boolean } = {}): Target {
  const targets: Target[] = []
  let isTuple = false
  const atEnd = () => stream.is('block_end') || stream.is('op', ')', '=') || stream.is('name', options.endsAt ?? '')
  for (;;) {
    if (targets.length > 0) stream.expect('op', ',')
    if (targets.length > 0 && atEnd()) break
    targets.push(parseOneTarget(stream, options))
    if (!stream.is('op', ',')) break
    isTuple = true
  }
  return isTuple ? { kind: 'targets', targets } : targets[0]!
}

function parseOneTarget(stream: TokenStream, options: { endsAt?: string; withFields?: boolean }): Target {
  if (stream.skip('op', '(')) {
    const inner = parseTarget(stream, { ...options, endsAt: '' })
    stream.expect('op', ')')
    return inner
  }
  if (options.withFields && stream.ahead.type === 'op' && stream.ahead.value === '.') {
    const namespace = stream.expect('name').value
    stream.next()
    return { kind: 'field', namespace, field: stream.expect('name').value }
  }
  return { kind: 'name', name: parseName(stream) }
}

function parseName(stream: TokenStream): string {
  const { value } = stream.expect('name')
  if (isConstantName(value)) throw stream.error(`can't assign to '${value}'`)
  return value
}

function namesOf(target: Target): string[] {
  if (target.kind === 'targets') return target.targets.flatMap(namesOf)
  return target.kind === 'name' ? [target.name] : []
}
