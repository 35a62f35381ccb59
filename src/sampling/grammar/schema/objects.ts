import { unsupported } from '../errors.ts'
import type { JsonParts } from '../json/parts.ts'
import type { Term } from '../terms/term.ts'
import type { Conjunction } from './conjunction.ts'
import type { Json, JsonObject } from '../json/json.ts'
import type { SchemaNode, SchemaNodes } from './nodes.ts'
import { largest, patternOf, smallest, stringBody } from './scalars.ts'
import { type PlainNode, expand } from './shapes.ts'

/** A property that has a name of its own in the schema. */
export interface Property {
  readonly name: string
  readonly required: boolean
  readonly value: Conjunction
}

/** Properties of other names: what `name` allows between its quotes. */
export interface Region {
  readonly name: Term
  readonly value: Conjunction
}

/** What an object's properties must be: first the named ones, in this order, then the others. */
export interface ObjectPlan {
  readonly kind: 'object'
  readonly path: string
  readonly properties: readonly Property[]
  readonly regions: readonly Region[]
  readonly min: number
  readonly max: number
  /** All conjunctions of which it is made. */
  readonly parts: readonly Conjunction[]
}

export interface ObjectContext {
  readonly nodes: SchemaNodes
  readonly parts: JsonParts
  readonly strict: boolean
  combine(nodes: readonly SchemaNode[]): Conjunction
}

/** Patterns of names at one place: each subset of them is a kind of name of its own. */
const MAX_PATTERNS = 4

export function planObject(plain: readonly PlainNode[], context: ObjectContext): ObjectPlan {
  const nodes = plain.map((node) => new ObjectNode(node, context))
  const required = new Set(plain.flatMap(({ schema }) => (schema['required'] as readonly string[] | undefined) ?? []))
  const names = new Set([...nodes.flatMap((node) => node.names), ...required])
  const closed = context.strict && nodes.some((node) => node.names.length > 0) && !nodes.some((node) => node.isTold)
  const nameTerms = nodes.flatMap((node) => node.nameTerms(context))
  const never = context.nodes.never
  const properties = [...names].map((name) => {
    const allowed = nameTerms.every((term) => context.parts.isBody(term, name))
    const schemas = nodes.flatMap((node) => node.schemasOf(name))
    return { name, required: required.has(name), value: context.combine(allowed ? schemas : [never]) }
  })
  const regions = closed ? [] : regionsOf(nodes, [...names], nameTerms, context)
  const schemas = plain.map(({ schema }) => schema)
  return {
    kind: 'object',
    path: plain[0]?.path ?? '#',
    properties,
    regions,
    min: largest(schemas, 'minProperties') ?? 0,
    max: smallest(schemas, 'maxProperties') ?? Infinity,
    parts: [...properties, ...regions].map(({ value }) => value),
  }
}

/**
 * Whether there is an object that can be written. Names that others have before cannot be kept from coming twice, so
 * all properties without a name of their own count as one for `minProperties`.
 */
export function canHoldObject(plan: ObjectPlan, isPossible: (part: Conjunction) => boolean): boolean {
  const needed = plan.properties.filter(({ required }) => required)
  if (needed.length > plan.max || !needed.every(({ value }) => isPossible(value))) return false
  const possible = plan.properties.filter(({ value }) => isPossible(value)).length
  const others = plan.regions.some(({ value }) => isPossible(value)) ? 1 : 0
  if (plan.min <= possible + others) return plan.min <= plan.max
  if (others === 0) return false
  throw unsupported(
    plan.path,
    'minProperties',
    `${plan.min} is more than the properties that have names; name them, since a name could come twice`,
  )
}

/** One schema of an object, and the patterns of its names. */
class ObjectNode {
  readonly names: readonly string[]
  readonly patterns: readonly { readonly pattern: string; readonly regex: RegExp; readonly schema: SchemaNode }[]
  readonly #node: PlainNode
  readonly #nodes: SchemaNodes

  constructor(node: PlainNode, { nodes }: ObjectContext) {
    this.#node = node
    this.#nodes = nodes
    this.names = Object.keys((node.schema['properties'] as JsonObject | undefined) ?? {})
    this.patterns = Object.entries((node.schema['patternProperties'] as JsonObject | undefined) ?? {}).map(
      ([pattern, schema]) => ({
        pattern,
        regex: regexOf(pattern, node.path),
        schema: nodes.child(node, ['patternProperties', pattern], schema),
      }),
    )
  }

  /** Whether it says what other properties there may be. */
  get isTold(): boolean {
    return this.#node.schema['additionalProperties'] !== undefined || this.patterns.length > 0
  }

  /** The schemas of the property `name`. */
  schemasOf(name: string): SchemaNode[] {
    const { properties } = this.#node.schema as { readonly properties?: JsonObject }
    const matching = this.patterns.filter(({ regex }) => regex.test(name)).map(({ schema }) => schema)
    if (properties !== undefined && Object.hasOwn(properties, name))
      return [this.#nodes.child(this.#node, ['properties', name], properties[name]!), ...matching]
    return matching.length > 0 ? matching : this.others()
  }

  /** The schema of properties that neither a name nor a pattern fits. */
  others(): SchemaNode[] {
    const others: Json | undefined = this.#node.schema['additionalProperties']
    return others === undefined ? [] : [this.#nodes.child(this.#node, ['additionalProperties'], others)]
  }

  /** What names must be, by `propertyNames`: bodies of strings. */
  nameTerms({ parts }: ObjectContext): Term[] {
    const schema = this.#node.schema['propertyNames']
    if (schema === undefined) return []
    const { shapes } = expand(this.#nodes, [this.#nodes.child(this.#node, ['propertyNames'], schema)])
    const { terms } = parts
    const bodies = shapes
      .filter(({ type }) => type === 'string')
      .map(({ nodes, values }) => {
        if (values !== undefined) return terms.or(values.map((value) => parts.body(value as string)))
        return stringBody(parts, nodes) ?? anyName(parts, nodes)
      })
    return [terms.or(bodies)]
  }
}

/** Names by length alone. */
function anyName({ terms, character }: JsonParts, nodes: readonly PlainNode[]): Term {
  const schemas = nodes.map(({ schema }) => schema)
  return terms.repeat(character, largest(schemas, 'minLength') ?? 0, smallest(schemas, 'maxLength') ?? Infinity)
}

/** All properties without a name of their own, by the patterns that their names match. */
function regionsOf(
  nodes: readonly ObjectNode[],
  names: readonly string[],
  nameTerms: readonly Term[],
  context: ObjectContext,
): Region[] {
  const { parts } = context
  const { terms, derivatives } = parts
  const patterns = [...new Set(nodes.flatMap((node) => node.patterns.map(({ pattern }) => pattern)))]
  if (patterns.length > MAX_PATTERNS)
    throw unsupported(context.combine([]).path, 'patternProperties', `more than ${MAX_PATTERNS} patterns`)
  const found = patterns.map((pattern) => patternOf(parts, pattern, '#'))
  const bodies = names.map((name) => parts.body(name))
  const every = [
    terms.repeat(parts.character),
    ...(bodies.length === 0 ? [] : [terms.not(terms.or(bodies))]),
    ...nameTerms,
  ]
  return Array.from({ length: 2 ** patterns.length }, (_, subset) => {
    const matches = (pattern: string): boolean => ((subset >> patterns.indexOf(pattern)) & 1) === 1
    const schemas = nodes.flatMap((node) => {
      const own = node.patterns.filter(({ pattern }) => matches(pattern)).map(({ schema }) => schema)
      return own.length > 0 ? own : node.others()
    })
    const chosen = found.map((term, i) => (matches(patterns[i]!) ? term : terms.not(term)))
    return { name: derivatives.and([...every, ...chosen]), value: context.combine(schemas) }
  }).filter(({ name }) => name.op !== 'empty')
}

function regexOf(pattern: string, path: string): RegExp {
  try {
    return new RegExp(pattern, 'u')
  } catch (error) {
    throw unsupported(path, 'patternProperties', `${JSON.stringify(pattern)}: ${String(error)}`)
  }
}
