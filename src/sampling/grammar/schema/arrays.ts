import type { Conjunction } from './conjunction.ts'
import type { Json } from '../json/json.ts'
import type { SchemaNode, SchemaNodes } from './nodes.ts'
import { largest, smallest } from './scalars.ts'
import type { PlainNode } from './shapes.ts'

/** What an array's items must be: the first ones of `prefix`, those behind them of `rest`. */
export interface ArrayPlan {
  readonly kind: 'array'
  readonly prefix: readonly Conjunction[]
  readonly rest: Conjunction
  readonly min: number
  readonly max: number
  /** All conjunctions of which it is made. */
  readonly parts: readonly Conjunction[]
}

type Combine = (nodes: readonly SchemaNode[]) => Conjunction

export function planArray(plain: readonly PlainNode[], nodes: SchemaNodes, combine: Combine): ArrayPlan {
  const prefixes = plain.map((node) => listOf(node.schema['prefixItems']))
  const length = Math.max(0, ...prefixes.map((prefix) => prefix.length))
  const at = (i: number): Conjunction =>
    combine(
      plain.flatMap((node, n) => {
        const own = prefixes[n]![i]
        if (own !== undefined) return [nodes.child(node, ['prefixItems', i], own)]
        const { items } = node.schema
        return items === undefined ? [] : [nodes.child(node, ['items'], items)]
      }),
    )
  const prefix = Array.from({ length }, (_, i) => at(i))
  const rest = at(length)
  const schemas = plain.map(({ schema }) => schema)
  return {
    kind: 'array',
    prefix,
    rest,
    min: largest(schemas, 'minItems') ?? 0,
    max: smallest(schemas, 'maxItems') ?? Infinity,
    parts: [...prefix, rest],
  }
}

/** The most items that an array can have. */
export function longest({ prefix, rest, max }: ArrayPlan, isPossible: (part: Conjunction) => boolean): number {
  const impossible = prefix.findIndex((part) => !isPossible(part))
  const length = impossible >= 0 ? impossible : isPossible(rest) ? Infinity : prefix.length
  return Math.min(max, length)
}

export function canHoldArray(plan: ArrayPlan, isPossible: (part: Conjunction) => boolean): boolean {
  return plan.min <= longest(plan, isPossible)
}

function listOf(value: Json | undefined): readonly Json[] {
  return Array.isArray(value) ? value : []
}
