import { PythonError, typeError } from '../errors.ts'
import { accountCharacters } from './limits.ts'
import { floatText, repr, toText } from './print.ts'
import { compareTexts } from './text.ts'
import { Dict, Markup, Tuple, type Value, typeName } from './value.ts'
import { compare } from './operators.ts'

/** The options of Python's `json.dumps` that the filter `tojson` of transformers passes on. */
export interface JsonOptions {
  readonly ensureAscii: boolean
  /** The text of one level of indentation; undefined for one line. */
  readonly indent: string | undefined
  readonly itemSeparator: string
  readonly keySeparator: string
  readonly sortKeys: boolean
}

/** Python's `json.dumps(value)`. Throws for what JSON does not know, as Python does. */
export function toJson(value: Value, options: JsonOptions, level = 0): string {
  if (typeof value === 'string' || value instanceof Markup) return jsonText(toText(value), options)
  if (Array.isArray(value) || value instanceof Tuple) {
    const items: readonly Value[] = value instanceof Tuple ? value.items : (value as readonly Value[])
    return brackets(
      '[]',
      items.map((item) => toJson(item, options, level + 1)),
      options,
      level,
    )
  }
  if (value instanceof Dict) {
    const entries = options.sortKeys ? value.entries.toSorted(([a], [b]) => keyOrder(a, b)) : value.entries
    const members = entries.map(
      ([key, member]) => jsonText(keyText(key), options) + options.keySeparator + toJson(member, options, level + 1),
    )
    return brackets('{}', members, options, level)
  }
  return scalar(value) ?? refuse(value)
}

function refuse(value: Value): never {
  throw typeError(`Object of type ${typeName(value)} is not JSON serializable`)
}

function scalar(value: Value): string | undefined {
  if (value === null) return 'null'
  if (typeof value === 'boolean') return String(value)
  if (typeof value === 'bigint') return repr(value)
  if (typeof value !== 'number') return undefined
  if (Number.isFinite(value)) return floatText(value)
  return Number.isNaN(value) ? 'NaN' : value > 0 ? 'Infinity' : '-Infinity'
}

function keyText(key: Value): string {
  const text = typeof key === 'string' ? key : scalar(key)
  if (text === undefined) throw typeError(`keys must be str, int, float, bool or None, not ${typeName(key)}`)
  return text
}

function keyOrder(a: Value, b: Value): number {
  if (typeof a === 'string' && typeof b === 'string') return compareTexts(a, b)
  return compare('<', a, b) ? -1 : compare('<', b, a) ? 1 : 0
}

function brackets(pair: string, members: readonly string[], options: JsonOptions, level: number): string {
  const { indent, itemSeparator } = options
  if (members.length === 0) return pair
  if (indent !== undefined && indent.length * level > 1 << 20) throw new PythonError('MemoryError', 'deep indentation')
  const inner = indent === undefined ? '' : `\n${indent.repeat(level + 1)}`
  const outer = indent === undefined ? '' : `\n${indent.repeat(level)}`
  const text = pair[0]! + inner + members.join(itemSeparator + inner) + outer + pair[1]!
  accountCharacters(text.length)
  return text
}

const escape = (c: string): string => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`

function jsonText(text: string, { ensureAscii }: JsonOptions): string {
  // JSON.stringify escapes lone surrogates; Python leaves them, but no message from JSON text holds any.
  const quoted = JSON.stringify(text)
  return ensureAscii ? quoted.replaceAll(/[\x7f-\uffff]/g, escape) : quoted
}
