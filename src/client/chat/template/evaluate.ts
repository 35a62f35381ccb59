import { typeError } from './errors.ts'
import { NAMED } from './filters/registry.ts'
import { callValue, getAttribute, getItem } from './methods/attributes.ts'
import { slice } from './methods/slices.ts'
import type { Scope } from './scope.ts'
import type { CallArguments, Expression } from './syntax/nodes.ts'
import { isTruthy, toList } from './values/iterate.ts'
import { accountText } from './values/limits.ts'
import { compare, operate, sign } from './values/operators.ts'
import { toText } from './values/print.ts'
import { type Arguments, Dict, Tuple, Undefined, type Value } from './values/value.ts'

/** The value of an expression. `input` is what a filter without a value of its own is applied to. */
export function evaluate(expression: Expression, scope: Scope, input?: Value): Value {
  const value = (part: Expression) => evaluate(part, scope, input)
  switch (expression.kind) {
    case 'constant':
      return expression.value
    case 'name':
      return scope.get(expression.name)
    case 'list':
      return expression.items.map(value)
    case 'tuple':
      return new Tuple(expression.items.map(value))
    case 'dict':
      return Dict.of(expression.entries.map(([key, item]) => [value(key), value(item)] as const))
    case 'attribute':
      return getAttribute(value(expression.of), expression.name)
    case 'item':
      return getItem(value(expression.of), value(expression.key))
    case 'slice': {
      const of = value(expression.of)
      const [start, stop, step] = expression.bounds.map((bound) => (bound === undefined ? null : value(bound)))
      return slice(of, start!, stop!, step!)
    }
    case 'call':
      return evaluateCall(expression, scope)
    case 'filter': {
      const of = expression.of === undefined ? input! : value(expression.of)
      return NAMED.filter(expression.name, withValue(of, evaluateArguments(expression.given, scope)))
    }
    case 'test': {
      const of = value(expression.of!)
      return NAMED.test(expression.name, withValue(of, evaluateArguments(expression.given, scope)))
    }
    case 'sign':
      return sign(expression.operator, value(expression.of))
    case 'not':
      return !isTruthy(value(expression.of))
    default:
      return evaluateJunction(expression, value)
  }
}

type Junction = Extract<Expression, { kind: 'and' | 'or' | 'operate' | 'concatenate' | 'compare' | 'choose' }>

function evaluateJunction(expression: Junction, value: (part: Expression) => Value): Value {
  switch (expression.kind) {
    case 'and':
    case 'or': {
      const left = value(expression.left)
      return isTruthy(left) === (expression.kind === 'or') ? left : value(expression.right)
    }
    case 'operate':
      return operate(expression.operator, value(expression.left), value(expression.right))
    case 'concatenate':
      return accountText(expression.parts.map((part) => toText(value(part))).join(''))
    case 'compare': {
      let left = value(expression.first)
      for (const [comparison, operand] of expression.rest) {
        const right = value(operand)
        if (!compare(comparison, left, right)) return false
        left = right
      }
      return true
    }
    case 'choose':
      if (isTruthy(value(expression.test))) return value(expression.chosen)
      return expression.otherwise === undefined
        ? new Undefined('the inline if-expression evaluated to false and no else section was defined.')
        : value(expression.otherwise)
  }
}

/** A call's value; `caller` is what a `{% call %}` block gives besides what is written. */
export function evaluateCall(
  { of, given }: Extract<Expression, { kind: 'call' }>,
  scope: Scope,
  caller?: Value,
): Value {
  const callee = evaluate(of, scope)
  const { args, kwargs } = evaluateArguments(given, scope)
  return callValue(callee, args, caller === undefined ? kwargs : new Map([...kwargs, ['caller', caller]]))
}

function withValue(value: Value, { args, kwargs }: Arguments): Arguments {
  return { args: [value, ...args], kwargs }
}

function evaluateArguments({ args, kwargs, spread, spreadNamed }: CallArguments, scope: Scope): Arguments {
  const values = args.map((arg) => evaluate(arg, scope))
  const named = new Map(kwargs.map(([name, arg]) => [name, evaluate(arg, scope)]))
  if (spread !== undefined) values.push(...toList(evaluate(spread, scope)))
  if (spreadNamed === undefined) return { args: values, kwargs: named }
  const more = evaluate(spreadNamed, scope)
  if (!(more instanceof Dict)) throw typeError('argument after ** must be a mapping')
  for (const [key, value] of more.entries) {
    if (typeof key !== 'string') throw typeError('keywords must be strings')
    if (named.has(key)) throw typeError(`got multiple values for keyword argument '${key}'`)
    named.set(key, value)
  }
  return { args: values, kwargs: named }
}
