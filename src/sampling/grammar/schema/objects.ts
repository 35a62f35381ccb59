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
  /** Where `min` was asked for. */
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

/** The most patterns of names at one place: each subset of them is a kind of name of its own. */
const MAX_PATTERNS = 4

export function planObject(plain: readonly PlainNode[], context: ObjectContext): ObjectPlan {
  const nodes = plain.map((node) => new ObjectNode(node, context))
  const required = new Set(plain.flatMap(({ schema }) => (schema['required'] as readonly string[] | undefined) ?? []))
  const names = new Set([...nodes.flatMap((node) => node.names), ...required])
  const closed = context.strict && nodes.some((node) => node.names.length > 0) && !nodes.some((node) => node.isTold)
  const nameTerms = nodes.flatMap((node) => node.nameTerms())
  const never = context.nodes.never
  const properties = [...names].map((name) => {
    const allowed = nameTerms.every((term) => context.parts.isBody(term, name))
    const schemas = nodes.flatMap((node) => node.schemasOf(name))
    return { name, required: required.has(name), value: context.combine(allowed ? schemas : [never]) }
  })
  const regions = closed ? [] : regionsOf(nodes, [...names], nameTerms, context)
  const schemas = plain.map(({ schema }) => schema)
  const min = largest(schemas, 'minProperties') ?? 0
  return {
    kind: 'object',
    path: plain.find(({ schema }) => schema['minProperties'] === min)?.path ?? '#',
    properties,
    regions,
    min,
    max: smallest(schemas, 'maxProperties') ?? Infinity,
    parts: [...properties, ...regions].map(({ value }) => value),
  }
}

/**
 * Throws `CONSTRAINT_UNSUPPORTED` for more properties than can be made sure of: nothing keeps a name that is not of the
 * schema from coming twice, so all of these count as one.
 */
export function checkLeast(plan: ObjectPlan, isPossible: (part: Conjunction) => boolean): void {
  const named = plan.properties.filter(({ value }) => isPossible(value)).length
  if (plan.min <= named + 1 || !plan.regions.some(({ value }) => isPossible(value))) return
  throw unsupported(
    plan.path,
    'minProperties',
    `${plan.min} is more than the properties that have names; name them, since a name could come twice`,
  )
}

/** Whether there is an object that can be written. */
export function canHoldObject(plan: ObjectPlan, isPossible: (part: Conjunction) => boolean): boolean {
  const needed = plan.properties.filter(({ required }) => required)
  if (needed.length > plan.max || !needed.every(({ value }) => isPossible(value))) return false
  const possible = plan.properties.filter(({ value }) => isPossible(value)).length
  const others = plan.regions.some(({ value }) => isPossible(value)) ? 1 : 0
  return plan.min <= Math.min(possible + others, plan.max)
}

/** A pattern of names, and the schema of properties whose names it is found in. */
interface NamePattern {
  readonly term: Term
  readonly schema: SchemaNode
}

/** One schema of an object, and the patterns of its names. */
class ObjectNode {
  readonly names: readonly string[]
  readonly patterns: readonly NamePattern[]
  readonly #node: PlainNode
  readonly #nodes: SchemaNodes
  readonly #parts: JsonParts

  constructor(node: PlainNode, { nodes, parts }: ObjectContext) {
    this.#node = node
    this.#nodes = nodes
    this.#parts = parts
    this.names = Object.keys((node.schema['properties'] as JsonObject | undefined) ?? {})
    this.patterns = Object.entries((node.schema['patternProperties'] as JsonObject | undefined) ?? {}).map(
      ([pattern, schema]) => ({
        term: patternOf(parts, pattern, node.path, { keyword: 'patternProperties' }),
        schema: nodes.child(node, ['patternProperties', pattern], schema),
      }),
    )
  }

  get path(): string {
    return this.#node.path
  }

  /** Whether it says what other properties there may be. */
  get isTold(): boolean {
    return this.#node.schema['additionalProperties'] !== undefined || this.patterns.length > 0
  }

  /** The schemas of the property `name`. */
  schemasOf(name: string): SchemaNode[] {
    const { properties } = this.#node.schema as { readonly properties?: JsonObject }
    const matching = this.patterns.filter(({ term }) => this.#parts.isBody(term, name)).map(({ schema }) => schema)
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
  nameTerms(): Term[] {
    const schema = this.#node.schema['propertyNames']
    if (schema === undefined) return []
    const parts = this.#parts
    const { shapes, exclusive } = expand(this.#nodes, [this.#nodes.child(this.#node, ['propertyNames'], schema)])
    if (exclusive.length > 0) throw unsupported(exclusive[0]!.path, 'oneOf', 'of names cannot be enforced; use anyOf')
    const bodies = shapes
      .filter(({ type }) => type === 'string')
      .map(({ nodes, values }) => {
        const body = stringBody(parts, nodes) ?? anyName(parts, nodes)
        if (values === undefined) return body
        const names = (values as readonly string[]).filter((name) => parts.isBody(body, name))
        return parts.terms.or(names.map((name) => parts.body(name)))
      })
    return [parts.terms.or(bodies)]
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
  const patterns = [...new Set(nodes.flatMap((node) => node.patterns.map(({ term }) => term)))]
  if (patterns.length > MAX_PATTERNS)
    throw unsupported(nodes[0]!.path, 'patternProperties', `more than ${MAX_PATTERNS} patterns cannot be enforced`)
  const bodies = names.map((name) => parts.body(name))
  const every = [
    terms.repeat(parts.character),
    ...(bodies.length === 0 ? [] : [terms.not(terms.or(bodies))]),
    ...nameTerms,
  ]
  return Array.from({ length: 2 ** patterns.length }, (_, subset) => {
    const matches = (pattern: Term): boolean => ((subset >> patterns.indexOf(pattern)) & 1) === 1
    const schemas = nodes.flatMap((node) => {
      const own = node.patterns.filter(({ term }) => matches(term)).map(({ schema }) => schema)
      return own.length > 0 ? own : node.others()
    })
    const chosen = patterns.map((pattern) => (matches(pattern) ? pattern : terms.not(pattern)))
    return { name: derivatives.and([...every, ...chosen]), value: context.combine(schemas) }
  }).filter(({ name }) => name.op !== 'empty')
}
