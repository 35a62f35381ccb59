import { typeError } from './errors.ts'
import { assign } from './assign.ts'
import { evaluate, evaluateCall } from './evaluate.ts'
import { Scope } from './scope.ts'
import { hiddenNames } from './syntax/hidden-names.ts'
import type { ForNode, MacroNode, Statement } from './syntax/nodes.ts'
import { isTruthy, iterate } from './values/iterate.ts'
import { accountCharacters } from './values/limits.ts'
import { LoopContext } from './values/loop-context.ts'
import { toText } from './values/print.ts'
import { type Arguments, Callable, Dict, Iterator, Tuple, Undefined, type Value } from './values/value.ts'

/** How a part ends before its last statement: by leaving the loop around it, or its iteration. */
type Leaving = 'break' | 'continue' | undefined

/** The variables that a part of a template begins with, within those around it. */
export function scopeOf(body: readonly Statement[], around: Scope): Scope {
  return new Scope(
    around,
    hiddenNames(body).map((name) => [name, new Undefined(`'${name}' is undefined`)] as const),
  )
}

/** The text of statements in a scope. */
export function renderText(body: readonly Statement[], scope: Scope): string {
  const out: string[] = []
  renderInto(out, body, scope)
  return out.join('')
}

function renderInto(out: string[], body: readonly Statement[], scope: Scope): Leaving {
  for (const statement of body) {
    const leaving = renderStatement(out, statement, scope)
    if (leaving !== undefined) return leaving
  }
  return undefined
}

function print(out: string[], text: string): undefined {
  accountCharacters(text.length)
  out.push(text)
}

function renderStatement(out: string[], statement: Statement, scope: Scope): Leaving {
  switch (statement.kind) {
    case 'data':
      return print(out, statement.text)
    case 'print':
      return print(out, toText(evaluate(statement.value, scope)))
    case 'set':
      assign(statement.target, evaluate(statement.value, scope), scope)
      return undefined
    case 'if': {
      const branch = statement.branches.find(({ test }) => test === undefined || isTruthy(evaluate(test, scope)))
      return branch === undefined ? undefined : renderInto(out, branch.body, scope)
    }
    case 'for':
      return renderLoop(out, statement, scope)
    case 'macro':
      scope.set(statement.name, makeMacro(statement, scope))
      return undefined
    case 'callBlock': {
      const { call, macro } = statement
      if (call.kind !== 'call') throw typeError('expected call')
      return print(out, toText(evaluateCall(call, scope, makeMacro(macro, scope))))
    }
    case 'with':
      return renderWith(out, statement, scope)
    case 'generation':
      return renderInto(out, statement.body, scopeOf(statement.body, scope))
    case 'setBlock':
    case 'filterBlock':
      return renderCaptured(out, statement, scope)
    case 'break':
    case 'continue':
      return statement.kind
  }
}

/** `{% set x %}` and `{% filter %}`: the text of their body becomes a value. */
function renderCaptured(
  out: string[],
  statement: Extract<Statement, { kind: 'setBlock' | 'filterBlock' }>,
  scope: Scope,
): Leaving {
  const inner: string[] = []
  const within = scopeOf(statement.body, scope)
  const leaving = renderInto(inner, statement.body, within)
  if (leaving !== undefined) return leaving
  const text = inner.join('')
  const value = statement.filter === undefined ? text : evaluate(statement.filter, within, text)
  if (statement.kind === 'filterBlock') return print(out, toText(value))
  assign(statement.target, value, scope)
  return undefined
}

function renderWith(out: string[], { bindings, body }: Extract<Statement, { kind: 'with' }>, scope: Scope): Leaving {
  const within = scopeOf(body, scope)
  const values = bindings.map(([, value]) => evaluate(value, scope))
  bindings.forEach(([target], i) => assign(target, values[i]!, within))
  return renderInto(out, body, within)
}

function renderLoop(out: string[], node: ForNode, scope: Scope): Leaving {
  return renderElements(out, node, scope, evaluate(node.iterable, scope), 0n)
}

/**
 * Renders a loop's body for each element, then its `else` unless an iteration has come to its end: as in jinja2, it is
 * rendered as well where every iteration was left by `continue` or `break`.
 */
function renderElements(out: string[], node: ForNode, scope: Scope, iterable: Value, depth0: bigint): Leaving {
  const recurse = (part: Value, depth: bigint) => {
    const inner: string[] = []
    renderElements(inner, node, scope, part, depth)
    return inner.join('')
  }
  const elements = node.test === undefined ? iterable : new Iterator(chosen(node, scope, iterable))
  const loop = new LoopContext(elements, depth0, node.recursive ? recurse : undefined)
  let completed = false
  for (let item = loop.next(); item !== undefined; item = loop.next()) {
    const within = scopeOf(node.body, scope)
    within.set('loop', loop)
    assign(node.target, item, within)
    const leaving = renderInto(out, node.body, within)
    if (leaving === 'break') break
    if (leaving === undefined) completed = true
  }
  return completed ? undefined : renderInto(out, node.otherwise, scopeOf(node.otherwise, scope))
}

/** The elements that a loop's `if` lets through. */
function* chosen({ target, test }: ForNode, scope: Scope, iterable: Value): Iterable<Value> {
  for (const item of iterate(iterable)) {
    const within = new Scope(scope)
    assign(target, item, within)
    if (isTruthy(evaluate(test!, within))) yield item
  }
}

function makeMacro(node: MacroNode, scope: Scope): Callable {
  const names = node.signature.parameters.map(([name]) => name)
  const fields: [string, Value][] = [
    ['name', node.name],
    ['arguments', new Tuple(names)],
    ['catch_kwargs', node.accepts.has('kwargs')],
    ['catch_varargs', node.accepts.has('varargs')],
    ['caller', node.accepts.has('caller')],
  ]
  const call = (given: Arguments) => renderText(node.body, bindMacro(node, scope, given))
  return new Callable(node.name, call, 'Macro', new Map(fields))
}

/** The scope of a macro's body: its parameters, and what else it accepts. */
function bindMacro({ name, signature, accepts, body }: MacroNode, scope: Scope, { args, kwargs }: Arguments): Scope {
  const within = scopeOf(body, scope)
  const rest = new Map(kwargs)
  const { parameters } = signature
  const taken = new Map<string, Value>(parameters.slice(0, args.length).map(([parameter], i) => [parameter, args[i]!]))
  for (const [parameter] of parameters.slice(args.length)) {
    const value = rest.get(parameter)
    if (value !== undefined) taken.set(parameter, value)
    rest.delete(parameter)
  }
  if (accepts.has('caller') && !taken.has('caller')) {
    within.set('caller', rest.get('caller') ?? new Undefined('No caller defined'))
    rest.delete('caller')
  }
  if (accepts.has('kwargs')) within.set('kwargs', Dict.of(rest))
  else if (rest.size > 0) throw typeError(`macro '${name}' takes no keyword argument '${[...rest.keys()][0]}'`)
  if (accepts.has('varargs')) within.set('varargs', new Tuple(args.slice(parameters.length)))
  else if (args.length > parameters.length)
    throw typeError(`macro '${name}' takes not more than ${parameters.length} argument(s)`)
  // A default that names its own or a later parameter means that one, not what is around the macro.
  for (const [parameter] of parameters)
    within.set(
      parameter,
      taken.has(parameter) ? taken.get(parameter)! : new Undefined(`parameter '${parameter}' was not provided`),
    )
  for (const [parameter, ifAbsent] of parameters)
    if (ifAbsent !== undefined && !taken.has(parameter)) within.set(parameter, evaluate(ifAbsent, within))
  return within
}
