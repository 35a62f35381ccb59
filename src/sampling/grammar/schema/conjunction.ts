import type { SchemaNode } from './nodes.ts'

/** Schemas that must all hold of one value. The same schemas are the same conjunction. */
export interface Conjunction {
  readonly path: string
  readonly nodes: readonly SchemaNode[]
}
