import { PythonError, UnsupportedError, typeError } from '../errors.ts'
import { formatNumber, pad, parseFormatSpec } from '../values/number-format.ts'
import { repr, toText } from '../values/print.ts'
import { codePoints } from '../values/text.ts'
import { type Arguments, Markup, Undefined, type Value, typeName } from '../values/value.ts'

/** How `{a.b[c]}` finds its way into a value. */
export interface Lookup {
  readonly attribute: (value: Value, name: string) => Value
  readonly item: (value: Value, key: Value) => Value
}

const PIECE = /\{\{|\}\}|\{([^{}]*)\}|[{}]/g

/** Python's `text.format(*args, **kwargs)`, in jinja2's sandbox. */
export function formatBraces(text: string, given: Arguments, lookup: Lookup): string {
  let automatic = 0
  let numbered = false
  return text.replace(PIECE, (piece, field: string | undefined, at: number) => {
    if (piece === '{{' || piece === '}}') return piece[0]!
    if (field === undefined) {
      if (piece === '{' && text.includes('}', at))
        throw new UnsupportedError('a replacement field within a format specification')
      throw new PythonError('ValueError', `Single '${piece}' encountered in format string`)
    }
    const [, name = '', conversion, spec = ''] = /^([^!:]*)(?:!([^:]*))?(?::(.*))?$/s.exec(field)!
    const [, first = '', path = ''] = /^([^.[]*)(.*)$/s.exec(name)!
    if (first === '' ? numbered : /^\d+$/.test(first) && automatic > 0)
      throw new PythonError('ValueError', 'cannot mix manual and automatic field numbering')
    if (/^\d+$/.test(first)) numbered = true
    const value = follow(argument(first === '' ? String(automatic++) : first, given), path, lookup)
    if (conversion === undefined) return formatValue(value, spec)
    if (conversion !== 's' && conversion !== 'r') throw new UnsupportedError(`the conversion !${conversion}`)
    return formatValue(conversion === 'r' ? repr(value) : toText(value), spec)
  })
}

function argument(name: string, { args, kwargs }: Arguments): Value {
  if (/^\d+$/.test(name)) {
    const value = args[Number(name)]
    if (value === undefined)
      throw new PythonError('IndexError', `Replacement index ${name} out of range for positional args tuple`)
    return value
  }
  const value = kwargs.get(name)
  if (value === undefined) throw new PythonError('KeyError', `'${name}'`)
  return value
}

function follow(value: Value, path: string, lookup: Lookup): Value {
  let current = value
  for (const step of path.matchAll(/\.([^.[]+)|\[([^\]]+)\]|./gs)) {
    const [, attribute, key] = step
    if (attribute === undefined && key === undefined)
      throw new PythonError('ValueError', 'invalid replacement field in a format string')
    if (attribute !== undefined) current = lookup.attribute(current, attribute)
    else current = lookup.item(current, /^\d+$/.test(key!) ? BigInt(key!) : key!)
  }
  return current
}

/** Python's `format(value, spec)`. */
function formatValue(value: Value, spec: string): string {
  if (spec === '') return toText(value)
  const known = parseFormatSpec(spec)
  if (typeof value === 'string') {
    if (known.type !== '' && known.type !== 's')
      throw new PythonError('ValueError', `Unknown format code '${known.type}' for object of type 'str'`)
    if (known.grouping !== '' || known.sign !== '-' || known.alternate || /^.?[<>^]?-/s.test(spec))
      throw new PythonError('ValueError', 'Invalid format specifier of a str')
    if (known.align === '=' && !/^\D?=/.test(spec)) return textPadded(value, { ...known, align: '<' })
    if (known.align === '=') throw new PythonError('ValueError', "'=' alignment not allowed in string format specifier")
    return textPadded(value, known)
  }
  const number = typeof value === 'boolean' ? BigInt(value) : value
  if (typeof number === 'bigint' || typeof number === 'number') return formatNumber(number, known)
  if (value instanceof Markup) throw new UnsupportedError('the formatting of HTML')
  if (value instanceof Undefined) throw typeError('unsupported format string passed to Undefined.__format__')
  throw typeError(`unsupported format string passed to ${typeName(value)}.__format__`)
}

function textPadded(text: string, spec: ReturnType<typeof parseFormatSpec>): string {
  const cut = spec.precision === undefined ? text : codePoints(text).slice(0, spec.precision).join('')
  return pad('', cut, { ...spec, align: spec.align || '<' })
}
