import { PythonError, typeError } from './errors.ts'
import type { Scope } from './scope.ts'
import type { Target } from './syntax/nodes.ts'
import { elementsOf } from './values/iterate.ts'
import { Namespace, type Value, typeName } from './values/value.ts'

/** Assigns a value to a name, to a namespace's field, or its elements to several of these. */
export function assign(target: Target, value: Value, scope: Scope): void {
  if (target.kind === 'name') scope.set(target.name, value)
  else if (target.kind === 'targets') unpack(target.targets, value, scope)
  else {
    const namespace = scope.get(target.namespace)
    if (!(namespace instanceof Namespace))
      throw new PythonError('TemplateRuntimeError', 'cannot assign attribute on non-namespace object')
    namespace.fields.set(target.field, value)
  }
}

function unpack(targets: readonly Target[], value: Value, scope: Scope): void {
  const elements = elementsOf(value)
  if (elements === undefined) throw typeError(`cannot unpack non-iterable ${typeName(value)} object`)
  const values = [...elements]
  if (values.length !== targets.length)
    throw new PythonError(
      'ValueError',
      values.length > targets.length
        ? `too many values to unpack (expected ${targets.length})`
        : `not enough values to unpack (expected ${targets.length}, got ${values.length})`,
    )
  targets.forEach((target, i) => assign(target, values[i]!, scope))
}
