import { PythonError } from '../errors.ts'
import type { Expression, Statement } from './nodes.ts'

/** The names of what there is. */
export interface KnownNames {
  readonly filters: { has(name: string): boolean }
  readonly tests: { has(name: string): boolean }
}

/**
 * Throws for a filter or test that does not exist, wherever it stands but within an `if`: there, jinja2 as well only
 * complains when it is reached.
 */
export function checkNames(node: unknown, known: KnownNames): void {
  if (typeof node !== 'object' || node === null) return
  if (Array.isArray(node)) return node.forEach((part) => checkNames(part, known))
  const { kind } = node as Statement | Expression
  if (kind === 'if' || kind === 'choose') return
  if (kind === 'filter' || kind === 'test') {
    const { name } = node as { name: string }
    const exists = (kind === 'filter' ? known.filters : known.tests).has(name)
    if (!exists) throw new PythonError('TemplateAssertionError', `No ${kind} named '${name}'.`)
  }
  for (const part of Object.values(node)) checkNames(part, known)
}
