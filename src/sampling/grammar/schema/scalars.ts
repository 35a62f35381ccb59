import { unsupported } from '../errors.ts'
import { number } from '../json/numbers.ts'
import type { JsonParts } from '../json/parts.ts'
import { closed, freeString } from '../json/strings.ts'
import { RegexProblem, parseRegex } from '../regex/parse.ts'
import type { Term } from '../terms/term.ts'
import { NUMBER_FORMATS, STRING_FORMATS } from './formats.ts'
import type { Json, JsonObject } from '../json/json.ts'
import { type PlainNode, type Shape, isOfType } from './shapes.ts'

/** The values of a shape that is no array or object, or that lists its values. `empty` where there are none. */
export function scalar(parts: JsonParts, { type, nodes, values }: Shape): Term {
  const { terms } = parts
  if (values !== undefined) return listed(parts, { type, nodes, values })
  switch (type) {
    case 'null':
      return terms.text('null')
    case 'boolean':
      return terms.or([terms.text('true'), terms.text('false')])
    case 'integer':
    case 'number':
      return numberOf(parts, type, nodes)
    default:
      return stringOf(parts, nodes)
  }
}

/** A pattern that strings contain, or all of which they are; in JSON's spelling, without quotes. */
export function patternOf(
  parts: JsonParts,
  pattern: string,
  path: string,
  { whole = false, keyword = 'pattern' }: { readonly whole?: boolean; readonly keyword?: string } = {},
): Term {
  try {
    const regex = parseRegex(pattern)
    return whole ? parts.patterns.whole(regex) : parts.patterns.found(regex)
  } catch (error) {
    if (!(error instanceof RegexProblem)) throw error
    throw unsupported(path, keyword, `${JSON.stringify(pattern)}: ${error.construct} ${error.message}`)
  }
}

/** What strings may be between their quotes. Undefined: anything. */
export function stringBody(parts: JsonParts, nodes: readonly PlainNode[]): Term | undefined {
  const { terms, derivatives } = parts
  const asked = nodes.flatMap(({ schema, path }) => [
    ...(typeof schema['pattern'] === 'string' ? [patternOf(parts, schema['pattern'], path)] : []),
    ...(typeof schema['format'] === 'string' ? formatOf(parts, schema['format'], path) : []),
  ])
  if (asked.length === 0) return undefined
  const [min, max] = lengthsOf(nodes)
  if (min > 0 || max < Infinity) asked.push(terms.repeat(parts.character, min, max))
  return derivatives.and(asked)
}

function stringOf(parts: JsonParts, nodes: readonly PlainNode[]): Term {
  const body = stringBody(parts, nodes)
  if (body !== undefined) return parts.terms.concat(parts.terms.text('"'), closed(parts.terms, body))
  const [min, max] = lengthsOf(nodes)
  return min > max ? parts.terms.empty : freeString(parts.terms, min, max)
}

function lengthsOf(nodes: readonly PlainNode[]): readonly [min: number, max: number] {
  const schemas = nodes.map(({ schema }) => schema)
  return [largest(schemas, 'minLength') ?? 0, smallest(schemas, 'maxLength') ?? Infinity]
}

function formatOf(parts: JsonParts, format: string, path: string): Term[] {
  if (Object.hasOwn(NUMBER_FORMATS, format)) return []
  if (!STRING_FORMATS.has(format)) throw unknownFormat(format, path)
  const pattern = STRING_FORMATS.get(format)
  return pattern === undefined ? [] : [patternOf(parts, pattern, path, { whole: true })]
}

function unknownFormat(format: string, path: string): Error {
  const known = [...STRING_FORMATS.keys(), ...Object.keys(NUMBER_FORMATS)]
  return unsupported(path, 'format', `${JSON.stringify(format)} is not known; there are ${known.join(', ')}`)
}

function numberOf(parts: JsonParts, type: 'integer' | 'number', nodes: readonly PlainNode[]): Term {
  const asked = [...nodes.map(({ schema }) => schema), ...nodes.flatMap(numberFormat)]
  return number(parts.terms, parts.derivatives, {
    integer: type === 'integer',
    minimum: largest(asked, 'minimum'),
    maximum: smallest(asked, 'maximum'),
    exclusiveMinimum: largest(asked, 'exclusiveMinimum'),
    exclusiveMaximum: smallest(asked, 'exclusiveMaximum'),
    multiplesOf: numbersOf(asked, 'multipleOf'),
  })
}

function numberFormat({ schema, path }: PlainNode): JsonObject[] {
  const { format } = schema
  if (typeof format !== 'string') return []
  if (Object.hasOwn(NUMBER_FORMATS, format)) return [NUMBER_FORMATS[format]!]
  if (!STRING_FORMATS.has(format)) throw unknownFormat(format, path)
  return []
}

/** Of listed values those that the other keywords accept. */
function listed(parts: JsonParts, { type, nodes, values }: Required<Shape>): Term {
  const { terms, derivatives } = parts
  const own = (values as readonly Json[]).filter((value) => isOfType(value, type))
  if (nodes.length === 0) return terms.or(own.map((value) => parts.value(value)))
  if (type === 'array' || type === 'object')
    throw unsupported(nodes[0]!.path, 'enum', `lists of ${type}s cannot be combined with what else is asked of them`)
  const all = scalar(parts, { type, nodes })
  const accepted = own.filter((value) => derivatives.after(all, Buffer.from(JSON.stringify(value), 'utf8')).nullable)
  return terms.or(accepted.map((value) => parts.value(value)))
}

export function largest(schemas: readonly JsonObject[], keyword: string): number | undefined {
  const all = numbersOf(schemas, keyword)
  return all.length === 0 ? undefined : Math.max(...all)
}

export function smallest(schemas: readonly JsonObject[], keyword: string): number | undefined {
  const all = numbersOf(schemas, keyword)
  return all.length === 0 ? undefined : Math.min(...all)
}

function numbersOf(schemas: readonly JsonObject[], keyword: string): number[] {
  return schemas.map((schema) => schema[keyword]).filter((value) => typeof value === 'number')
}
