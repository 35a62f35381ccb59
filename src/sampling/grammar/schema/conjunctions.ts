import { tooLarge, unsupported } from '../errors.ts'
import type { JsonParts } from '../json/parts.ts'
import type { Term } from '../terms/term.ts'
import { type ArrayPlan, planArray, canHoldArray } from './arrays.ts'
import type { Conjunction } from './conjunction.ts'
import type { SchemaNode, SchemaNodes } from './nodes.ts'
import { type ObjectPlan, canHoldObject, checkLeast, planObject } from './objects.ts'
import { scalar } from './scalars.ts'
import { type Exclusive, expand } from './shapes.ts'
import { toldApart } from './tags.ts'

/** One way in which a value can fulfil a conjunction. */
export type Plan = { readonly kind: 'scalar'; readonly term: Term } | ArrayPlan | ObjectPlan

/** The most combinations of schemas that hold at the same time. */
const MAX_CONJUNCTIONS = 5000

/**
 * All combinations of schemas that a value of a document, or a part of it, can be asked to fulfil, and which of them
 * can be fulfilled at all.
 */
export class Conjunctions {
  readonly #nodes: SchemaNodes
  readonly #parts: JsonParts
  readonly #strict: boolean
  readonly #byKey = new Map<string, Conjunction>()
  readonly #plans = new Map<Conjunction, readonly Plan[]>()
  readonly #possible = new Set<Conjunction>()
  readonly #exclusive: Exclusive[] = []

  /** `strict`: objects have no other properties than those that they declare, unless told so. */
  constructor(nodes: SchemaNodes, parts: JsonParts, strict: boolean) {
    this.#nodes = nodes
    this.#parts = parts
    this.#strict = strict
  }

  /** The conjunction of schemas; those that say nothing are left out. */
  of(nodes: readonly SchemaNode[], path = nodes[0]?.path ?? '#'): Conjunction {
    const own = [...new Set(nodes)].filter(({ schema }) => schema !== true).sort((a, b) => a.id - b.id)
    const key = own.map(({ id }) => id).join()
    let known = this.#byKey.get(key)
    if (known === undefined) {
      if (this.#byKey.size >= MAX_CONJUNCTIONS) throw tooLarge(`more than ${MAX_CONJUNCTIONS} combinations of schemas`)
      this.#byKey.set(key, (known = { path, nodes: own }))
    }
    return known
  }

  /** Plans all that a conjunction can lead to. Throws `CONSTRAINT_...` for what cannot be enforced anywhere in it. */
  explore(root: Conjunction): void {
    this.#discover(root)
    for (let i = 0; i < this.#exclusive.length; i++) this.#checkExclusive(this.#exclusive[i]!)
    this.#exclusive.length = 0
    for (const plan of [...this.#plans.values()].flat())
      if (plan.kind === 'object') checkLeast(plan, (part) => this.#possible.has(part))
  }

  /** The ways in which an explored conjunction can be fulfilled. */
  plansOf(conjunction: Conjunction): readonly Plan[] {
    return this.#plans.get(conjunction)!.filter((plan) => this.#canHold(plan))
  }

  /** Whether any value fulfils an explored conjunction. */
  isPossible(conjunction: Conjunction): boolean {
    return this.#possible.has(conjunction)
  }

  #discover(root: Conjunction): void {
    const open = [root]
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      if (this.#plans.has(next)) continue
      const plans = this.#plan(next)
      this.#plans.set(next, plans)
      for (const plan of plans) if (plan.kind !== 'scalar') open.push(...plan.parts)
    }
    this.#settle()
  }

  #plan({ nodes }: Conjunction): Plan[] {
    if (nodes.some(({ schema }) => schema === false)) return []
    const { shapes, exclusive } = expand(this.#nodes, nodes)
    this.#exclusive.push(...exclusive)
    return shapes.map((shape) => {
      const combine = (all: readonly SchemaNode[]): Conjunction => this.of(all)
      if (shape.values === undefined && shape.type === 'array') return planArray(shape.nodes, this.#nodes, combine)
      if (shape.values === undefined && shape.type === 'object')
        return planObject(shape.nodes, { nodes: this.#nodes, parts: this.#parts, strict: this.#strict, combine })
      return { kind: 'scalar', term: scalar(this.#parts, shape) }
    })
  }

  /**
   * Finds what is possible: first what needs nothing else, then what needs only that, until nothing is added. What was
   * found last is looked at first, since others are made of it.
   */
  #settle(): void {
    const all = [...this.#plans].toReversed()
    for (let size = -1; size !== this.#possible.size;) {
      size = this.#possible.size
      for (const [conjunction, plans] of all)
        if (!this.#possible.has(conjunction) && plans.some((plan) => this.#canHold(plan)))
          this.#possible.add(conjunction)
    }
  }

  #canHold(plan: Plan): boolean {
    const isPossible = (part: Conjunction): boolean => this.#possible.has(part)
    if (plan.kind === 'scalar') return plan.term.op !== 'empty'
    return plan.kind === 'array' ? canHoldArray(plan, isPossible) : canHoldObject(plan, isPossible)
  }

  /** Exactly one of `oneOf` holds where no two of them can hold at the same time. */
  #checkExclusive({ path, beside, nodes }: Exclusive): void {
    for (let i = 0; i < nodes.length; i++) {
      for (let j = 0; j < i; j++) {
        if (toldApart(this.#nodes, nodes[j]!, nodes[i]!)) continue
        const both = this.of([beside, nodes[j]!, nodes[i]!])
        this.#discover(both)
        if (!this.isPossible(both)) continue
        throw unsupported(
          path,
          'oneOf',
          `a value can fulfil both its alternatives ${j} and ${i}, and that only one holds cannot be enforced; ` +
            'use anyOf, or tell them apart by a required property with a const',
        )
      }
    }
  }
}
