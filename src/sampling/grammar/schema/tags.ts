import { type Json, type JsonObject, isObject } from '../json/json.ts'
import type { SchemaNode, SchemaNodes } from './nodes.ts'
import { canonical } from './shapes.ts'

/** The values of an object's required properties that have a `const` or an `enum`, as texts, by name. */
type Tags = ReadonlyMap<string, ReadonlySet<string>>

/** How many references to references are followed. */
const MAX_REFERENCES = 16

/**
 * Whether two schemas are of objects that a required property tells apart, as in unions with a discriminator. A short
 * way to what the schemas' conjunction would show as well.
 */
export function toldApart(nodes: SchemaNodes, a: SchemaNode, b: SchemaNode): boolean {
  const tags = tagsOf(nodes, a)
  const others = tagsOf(nodes, b)
  return [...tags].some(([name, values]) => others.get(name)?.isDisjointFrom(values) === true)
}

function tagsOf(nodes: SchemaNodes, node: SchemaNode): Tags {
  let { schema } = node
  for (let i = 0; i < MAX_REFERENCES && typeof schema !== 'boolean' && typeof schema['$ref'] === 'string'; i++)
    ({ schema } = nodes.resolve(node, schema['$ref']))
  const tags = new Map<string, ReadonlySet<string>>()
  if (typeof schema === 'boolean' || schema['type'] !== 'object') return tags
  const properties = (schema['properties'] ?? {}) as JsonObject
  for (const name of (schema['required'] ?? []) as readonly string[]) {
    const values = Object.hasOwn(properties, name) ? valuesOf(properties[name]!) : undefined
    if (values !== undefined) tags.set(name, new Set(values.map(canonical)))
  }
  return tags
}

function valuesOf(schema: Json): readonly Json[] | undefined {
  if (!isObject(schema)) return undefined
  return schema['const'] === undefined ? (schema['enum'] as readonly Json[] | undefined) : [schema['const']]
}
