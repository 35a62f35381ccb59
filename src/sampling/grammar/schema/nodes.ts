import { invalid, tooLarge, unsupported } from '../errors.ts'
import { checkDepth } from '../json/depth.ts'
import { type Json, type JsonObject, isObject } from '../json/json.ts'
import { checkKeywords } from './keywords.ts'

/** One schema within a document. The same place is the same node. */
export interface SchemaNode {
  readonly id: number
  /** A JSON pointer, `#` for the document. */
  readonly path: string
  readonly schema: JsonObject | boolean
}

/** The most nodes of a schema: far above what anybody writes by hand. */
const MAX_NODES = 20_000

/** The schemas of one document. Each is checked when it is first asked for. */
export class SchemaNodes {
  readonly #document: Json
  readonly #byPath = new Map<string, SchemaNode>()
  readonly #anchors = new Map<string, string>()

  constructor(document: Json) {
    this.#document = document
    checkDepth(document)
    findAnchors(document, '#', this.#anchors)
  }

  get root(): SchemaNode {
    return this.at('#', this.#document)
  }

  /** The schema that nothing fulfils. */
  get never(): SchemaNode {
    return this.at('never', false)
  }

  /** The schema below a node, at keys that are not yet escaped. */
  child(node: SchemaNode, keys: readonly (string | number)[], schema: Json): SchemaNode {
    return this.at([node.path, ...keys.map((key) => escaped(String(key)))].join('/'), schema)
  }

  at(path: string, schema: Json): SchemaNode {
    const known = this.#byPath.get(path)
    if (known !== undefined) return known
    if (typeof schema !== 'boolean' && !isObject(schema))
      throw invalid(path, 'a schema must be an object or a boolean', schema)
    if (typeof schema !== 'boolean') checkKeywords(schema, path)
    if (this.#byPath.size >= MAX_NODES) throw tooLarge(`a schema of more than ${MAX_NODES} parts`)
    const node = { id: this.#byPath.size, path, schema }
    this.#byPath.set(path, node)
    return node
  }

  /** A schema without one of its keywords. */
  beside(node: SchemaNode, keyword: string): SchemaNode {
    const others = Object.entries(node.schema).filter(([name]) => name !== keyword)
    return this.at(`${node.path}/(beside ${keyword})`, others.length === 0 ? true : Object.fromEntries(others))
  }

  /** What `$ref` at a node names. */
  resolve(node: SchemaNode, ref: string): SchemaNode {
    if (!ref.startsWith('#'))
      throw unsupported(node.path, '$ref', `${JSON.stringify(ref)} is outside of the schema; put it under $defs`)
    const named = this.#anchors.get(ref.slice(1))
    const path = named ?? decoded(ref)
    let value: Json | undefined = this.#document
    for (const part of path.split('/').slice(1)) {
      const key = part.replaceAll('~1', '/').replaceAll('~0', '~')
      if (Array.isArray(value)) value = (value as readonly Json[])[Number(key)]
      else value = isObject(value) && Object.hasOwn(value, key) ? value[key] : undefined
      if (value === undefined) break
    }
    if (value === undefined || (path !== '#' && !path.startsWith('#/')))
      throw invalid(`$ref at ${node.path}`, 'names nothing in the schema', ref)
    return this.at(path, value)
  }
}

function findAnchors(value: Json, path: string, found: Map<string, string>): void {
  if (Array.isArray(value)) value.forEach((each: Json, i) => findAnchors(each, `${path}/${i}`, found))
  if (!isObject(value)) return
  if (typeof value['$anchor'] === 'string') found.set(value['$anchor'], path)
  for (const [key, each] of Object.entries(value)) findAnchors(each, `${path}/${escaped(key)}`, found)
}

function escaped(key: string): string {
  return key.replaceAll('~', '~0').replaceAll('/', '~1')
}

function decoded(ref: string): string {
  try {
    return decodeURIComponent(ref)
  } catch {
    return ref
  }
}
