import { invalid, tooLarge } from '../errors.ts'
import { type Json, type JsonObject, isObject } from '../json/json.ts'
import type { SchemaNode, SchemaNodes } from './nodes.ts'

/** The types of JSON values; `integer` is a kind of number. */
export type JsonType = 'null' | 'boolean' | 'integer' | 'number' | 'string' | 'array' | 'object'

/** One way to fulfil schemas: a value of a type that all of `nodes` accept, or one out of a list. */
export interface Shape {
  readonly type: JsonType
  /** The nodes whose keywords count for this type; none has `$ref`, `allOf` and the like that still count. */
  readonly nodes: readonly PlainNode[]
  /** All values, if there are no others: of `enum` and `const`. */
  readonly values?: readonly Json[] | undefined
}

export interface PlainNode extends SchemaNode {
  readonly schema: JsonObject
}

/** Alternatives of a `oneOf`, of which any two must have nothing in common; `beside` holds as well. */
export interface Exclusive {
  readonly path: string
  readonly beside: SchemaNode
  readonly nodes: readonly SchemaNode[]
}

/** The ways to fulfil schemas all at once. */
export interface Expansion {
  readonly shapes: readonly Shape[]
  readonly exclusive: readonly Exclusive[]
}

/** The most alternatives that may come of nested unions. */
const MAX_ALTERNATIVES = 1000

const ALL_TYPES: readonly JsonType[] = ['null', 'boolean', 'number', 'string', 'array', 'object']

/** A way as it is being gathered. `from` of what is pending: the references that led there. */
interface Partial {
  readonly types: readonly JsonType[]
  readonly nodes: readonly PlainNode[]
  readonly values: readonly Json[] | undefined
  readonly pending: readonly { readonly node: SchemaNode; readonly from: readonly SchemaNode[] }[]
}

/** Resolves references and unions of schemas that must all hold. Throws `CONSTRAINT_INVALID` for endless references. */
export function expand(nodes: SchemaNodes, all: readonly SchemaNode[]): Expansion {
  const shapes = new Map<string, Shape>()
  const exclusive: Exclusive[] = []
  const open: Partial[] = [
    { types: ALL_TYPES, nodes: [], values: undefined, pending: all.map((node) => ({ node, from: [] })) },
  ]
  for (let count = 0; open.length > 0; count++) {
    if (count > MAX_ALTERNATIVES) throw tooLarge(`more than ${MAX_ALTERNATIVES} alternatives at ${all[0]!.path}`)
    let way: Partial | undefined = open.pop()!
    while (way !== undefined && way.pending.length > 0) {
      const [first, ...more]: readonly Partial[] = take(nodes, way, exclusive)
      open.push(...more)
      way = first
    }
    if (way !== undefined) for (const shape of shapesOf(way)) shapes.set(keyOf(shape), shape)
  }
  return { shapes: [...shapes.values()], exclusive }
}

/** Takes one pending node up: the ways in which it can hold, none if it cannot. */
function take(nodes: SchemaNodes, way: Partial, exclusive: Exclusive[]): readonly Partial[] {
  const [{ node, from }, ...pending] = way.pending as [Partial['pending'][number], ...Partial['pending']]
  const { schema } = node
  if (schema === false) return []
  if (schema === true) return [{ ...way, pending }]
  if (from.includes(node)) throw invalid(node.path, 'leads back to itself by $ref, allOf, anyOf or oneOf alone')
  const types = schema['type'] === undefined ? way.types : commonTypes(way.types, listOf(schema['type']))
  const values = commonValues(way.values, schema)
  if (types.length === 0 || values?.length === 0) return []
  const trail = [...from, node]
  const follow = (each: readonly SchemaNode[]) => each.map((next) => ({ node: next, from: trail }))
  const must = [
    ...(schema['$ref'] === undefined ? [] : [nodes.resolve(node, schema['$ref'] as string)]),
    ...children(nodes, node, 'allOf'),
  ]
  let ways: readonly Partial[] = [
    {
      types,
      values,
      nodes: [...way.nodes.filter((each) => each !== node), node as PlainNode],
      pending: [...follow(must), ...pending],
    },
  ]
  for (const keyword of ['anyOf', 'oneOf']) {
    const options = children(nodes, node, keyword)
    if (options.length === 0) continue
    if (keyword === 'oneOf') exclusive.push({ path: node.path, beside: nodes.beside(node, 'oneOf'), nodes: options })
    ways = options.flatMap((option) =>
      ways.map((each) => ({ ...each, pending: [...follow([option]), ...each.pending] })),
    )
  }
  return ways
}

function children(nodes: SchemaNodes, node: SchemaNode, keyword: string): SchemaNode[] {
  const list = (node.schema as JsonObject)[keyword]
  return Array.isArray(list) ? list.map((each: Json, i) => nodes.child(node, [keyword, i], each)) : []
}

function shapesOf({ types, nodes, values }: Partial): Shape[] {
  if (values === undefined) return types.map((type) => ({ type, nodes: nodesFor(type, nodes) }))
  return types.flatMap((type) => {
    const own = values.filter((value) => isOfType(value, type))
    return own.length === 0 ? [] : [{ type, nodes: nodesFor(type, nodes), values: own }]
  })
}

/** Keywords that count for a type. */
const OF_TYPE: Readonly<Record<JsonType, readonly string[]>> = {
  null: [],
  boolean: [],
  integer: ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf', 'format'],
  number: ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf', 'format'],
  string: ['minLength', 'maxLength', 'pattern', 'format'],
  array: ['items', 'prefixItems', 'minItems', 'maxItems'],
  object: [
    'properties',
    'required',
    'additionalProperties',
    'patternProperties',
    'propertyNames',
    'minProperties',
    'maxProperties',
  ],
}

function nodesFor(type: JsonType, nodes: readonly PlainNode[]): PlainNode[] {
  return nodes.filter(({ schema }) => OF_TYPE[type].some((keyword) => schema[keyword] !== undefined))
}

function commonTypes(a: readonly JsonType[], b: readonly JsonType[]): readonly JsonType[] {
  const both = new Set<JsonType>()
  for (const x of a) {
    for (const y of b) {
      if (x === y) both.add(x)
      else if ((x === 'integer' && y === 'number') || (x === 'number' && y === 'integer')) both.add('integer')
    }
  }
  if (both.has('number')) both.delete('integer')
  return [...both]
}

function listOf(type: Json): readonly JsonType[] {
  return (Array.isArray(type) ? type : [type]) as readonly JsonType[]
}

function commonValues(values: readonly Json[] | undefined, schema: JsonObject): readonly Json[] | undefined {
  let common = values
  if (schema['enum'] !== undefined) common = shared(common, schema['enum'] as readonly Json[])
  if (schema['const'] !== undefined) common = shared(common, [schema['const']])
  return common
}

function shared(a: readonly Json[] | undefined, b: readonly Json[]): readonly Json[] {
  const keys = a && new Set(a.map(canonical))
  const distinct = new Map(b.map((value) => [canonical(value), value]))
  return [...distinct].filter(([key]) => keys?.has(key) !== false).map(([, value]) => value)
}

/** The same text for equal values. */
export function canonical(value: Json): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`
  if (!isObject(value)) return JSON.stringify(value)
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
  return `{${entries.map(([key, each]) => `${JSON.stringify(key)}:${canonical(each)}`).join()}}`
}

export function isOfType(value: Json, type: JsonType): boolean {
  if (value === null) return type === 'null'
  if (Array.isArray(value)) return type === 'array'
  if (typeof value === 'number') return type === 'number' || (type === 'integer' && Number.isInteger(value))
  return typeof value === type
}

function keyOf({ type, nodes, values }: Shape): string {
  const ids = nodes.map(({ id }) => id).sort((a, b) => a - b)
  return `${type} ${ids.join()} ${values === undefined ? '' : canonical(values)}`
}
