import { unsatisfiable } from '../errors.ts'
import type { JsonParts } from '../json/parts.ts'
import { closed } from '../json/strings.ts'
import { Rule, type Term } from '../terms/term.ts'
import { type ArrayPlan, longest } from './arrays.ts'
import type { Conjunction } from './conjunction.ts'
import { Conjunctions, type Plan } from './conjunctions.ts'
import type { Json } from '../json/json.ts'
import { SchemaNodes } from './nodes.ts'
import type { ObjectPlan, Property } from './objects.ts'

/** How a schema is read. */
export interface SchemaOptions {
  /** Objects have no other properties than those that they declare, unless `additionalProperties` says so. */
  readonly strict: boolean
}

/**
 * All JSON values that fulfil a schema (JSON Schema 2020-12, and what older drafts have in common with it), as they are
 * written: properties in the schema's order, those without a name of their own last. Throws `CONSTRAINT_UNSUPPORTED`,
 * `CONSTRAINT_INVALID`, `CONSTRAINT_UNSATISFIABLE` and `CONSTRAINT_TOO_LARGE`.
 */
export function compileSchema(parts: JsonParts, schema: Json, { strict }: SchemaOptions): Term {
  return parts.derivatives.bounded(() => {
    const nodes = new SchemaNodes(schema)
    const conjunctions = new Conjunctions(nodes, parts, strict)
    const root = conjunctions.of([nodes.root])
    conjunctions.explore(root)
    if (!conjunctions.isPossible(root)) throw unsatisfiable('#', 'no value fulfils this schema')
    return new SchemaTerms(parts, conjunctions).value(root)
  })
}

/** Terms of values, made as they are needed. */
class SchemaTerms {
  readonly #parts: JsonParts
  readonly #conjunctions: Conjunctions
  readonly #values = new Map<Conjunction, Term>()

  constructor(parts: JsonParts, conjunctions: Conjunctions) {
    this.#parts = parts
    this.#conjunctions = conjunctions
  }

  value(conjunction: Conjunction): Term {
    let term = this.#values.get(conjunction)
    if (term === undefined) {
      const rule = new Rule(() =>
        this.#parts.terms.or(this.#conjunctions.plansOf(conjunction).map((plan) => this.#plan(plan))),
      )
      this.#values.set(conjunction, (term = this.#parts.terms.ref(rule)))
    }
    return term
  }

  #plan(plan: Plan): Term {
    if (plan.kind === 'scalar') return plan.term
    return plan.kind === 'array' ? this.#array(plan) : this.#object(plan)
  }

  #array(plan: ArrayPlan): Term {
    const { terms, whitespace, comma } = this.#parts
    const { prefix, rest, min } = plan
    const max = longest(plan, (part) => this.#conjunctions.isPossible(part))
    // From here on items do not differ any more.
    const same = Math.max(prefix.length, min, 1)
    const states = new Map<number, Term>()
    /** What follows the first `count` items and their whitespace. */
    const after = (count: number): Term => {
      const state = max === Infinity ? Math.min(count, same) : count
      let term = states.get(state)
      if (term === undefined) {
        const rule = new Rule(() => {
          const end = count >= min ? terms.text(']') : terms.empty
          if (count >= max) return end
          const item = terms.concat(this.value(prefix[count] ?? rest), whitespace, after(count + 1))
          return terms.or([end, count === 0 ? item : terms.concat(comma, item)])
        })
        states.set(state, (term = terms.ref(rule)))
      }
      return term
    }
    return this.#parts.opened('[', after(0))
  }

  #object(plan: ObjectPlan): Term {
    const members = new MemberTerms(plan, this.#parts, this.#conjunctions, (part) => this.value(part))
    return this.#parts.opened('{', members.after(0, 0, 0))
  }
}

/** What may stand in an object behind the members that it has. */
class MemberTerms {
  readonly #plan: ObjectPlan
  readonly #parts: JsonParts
  readonly #properties: readonly Property[]
  readonly #regions: ObjectPlan['regions']
  readonly #value: (part: Conjunction) => Term
  readonly #states = new Map<string, Term>()

  constructor(plan: ObjectPlan, parts: JsonParts, conjunctions: Conjunctions, value: (part: Conjunction) => Term) {
    this.#plan = plan
    this.#parts = parts
    this.#properties = plan.properties.filter((property) => conjunctions.isPossible(property.value))
    this.#regions = plan.regions.filter((region) => conjunctions.isPossible(region.value))
    this.#value = value
  }

  /**
   * After the properties before `next` have been written or passed over: `named` of them and `others` were written. Of
   * both no more is known than matters.
   */
  after(next: number, named: number, written: number): Term {
    const others = this.#plan.max === Infinity ? Math.min(written, 1) : written
    const key = `${next} ${this.#isCounted ? `${named} ${others}` : named + others > 0}`
    let term = this.#states.get(key)
    if (term === undefined) {
      const rule = new Rule(() => this.#make(next, named, others))
      this.#states.set(key, (term = this.#parts.terms.ref(rule)))
    }
    return term
  }

  get #isCounted(): boolean {
    return this.#plan.min > 0 || this.#plan.max < Infinity
  }

  #make(next: number, named: number, others: number): Term {
    const { terms, comma } = this.#parts
    const members = this.#members(next, named, others)
    const isDone = !this.#properties.slice(next).some(({ required }) => required)
    const counted = named + Math.min(others, 1)
    const end = isDone && counted >= this.#plan.min ? terms.text('}') : terms.empty
    return terms.or([end, named + others === 0 ? members : terms.concat(comma, members)])
  }

  #members(next: number, named: number, others: number): Term {
    const { terms } = this.#parts
    if (named + others >= this.#plan.max) return terms.empty
    const members: Term[] = []
    for (let i = next; i < this.#properties.length; i++) {
      const { name, required, value } = this.#properties[i]!
      if (this.#canEnd(i + 1, named + 1, others))
        members.push(this.#member(this.#parts.name(name), value, [i + 1, named + 1, others]))
      if (required) return terms.or(members)
    }
    const last = this.#properties.length
    if (this.#canEnd(last, named, others + 1)) {
      for (const { name, value } of this.#regions) {
        const quoted = terms.concat(terms.text('"'), closed(terms, name))
        members.push(this.#member(quoted, value, [last, named, others + 1]))
      }
    }
    return terms.or(members)
  }

  /** Whether an object can be completed from here within its numbers of properties. */
  #canEnd(next: number, named: number, others: number): boolean {
    const left = this.#properties.slice(next)
    const needed = left.filter(({ required }) => required).length
    if (named + others + needed > this.#plan.max) return false
    const reachable = named + left.length + (others > 0 || this.#regions.length > 0 ? 1 : 0)
    return reachable >= this.#plan.min
  }

  #member(name: Term, value: Conjunction, state: readonly [number, number, number]): Term {
    const { terms, colon, whitespace } = this.#parts
    return terms.concat(name, colon, this.#value(value), whitespace, this.after(...state))
  }
}
