import { CheckpointError } from '../files/errors.ts'
import type { JsonObject } from '../files/json.ts'

/**
 * The largest size that is accepted: far above any model's, and small enough that the product of two sizes is exact.
 */
const MAX_SIZE = 2 ** 31 - 1

/** For each field, its other names; the first name that the object has is read. */
export type Aliases = Readonly<Record<string, readonly string[]>>

/**
 * Reads and checks the fields of one JSON object. `where` names the object in messages, e.g. `/models/a/config.json`. A
 * field that is absent or null takes the given fallback; without a fallback that is an error. All errors are
 * `CHECKPOINT_CONFIG`.
 */
export class Fields {
  readonly #values: JsonObject
  readonly #where: string
  readonly #aliases: Aliases

  constructor(values: JsonObject, where: string, aliases: Aliases = {}) {
    this.#values = values
    this.#where = where
    this.#aliases = aliases
  }

  /** A field's value, unchecked; undefined if it is absent or null. */
  get(name: string): unknown {
    const key = this.#key(name)
    return Object.hasOwn(this.#values, key) ? (this.#values[key] ?? undefined) : undefined
  }

  /** Whether the object has the field, even if its value is null. */
  has(name: string): boolean {
    return Object.hasOwn(this.#values, this.#key(name))
  }

  /** A whole number from 1 to `max`. */
  size(name: string, fallback?: number, max = MAX_SIZE): number {
    const value = this.#required(name, fallback)
    if (typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= max) return value
    return this.fail(name, `must be an integer from 1 to ${max}`)
  }

  /** A whole number of at least 0. */
  count(name: string, fallback?: number): number {
    const value = this.#required(name, fallback)
    if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= MAX_SIZE) return value
    return this.fail(name, `must be an integer from 0 to ${MAX_SIZE}`)
  }

  /** A list of whole numbers of at least 0; empty if the field is absent. */
  counts(name: string): number[] {
    const value = this.get(name) ?? []
    return Array.isArray(value) && value.every(isCount)
      ? value
      : this.fail(name, 'must be a list of whole numbers from 0')
  }

  /** A number above 0. */
  positive(name: string, fallback?: number): number {
    const value = this.#required(name, fallback)
    if (typeof value === 'number' && Number.isFinite(value) && value > 0) return value
    return this.fail(name, 'must be a number above 0')
  }

  /** As `positive`; undefined where the field is absent and has no fallback. */
  optionalPositive(name: string, fallback?: number): number | undefined {
    return this.get(name) === undefined && fallback === undefined ? undefined : this.positive(name, fallback)
  }

  /** A list of exactly `length` numbers above 0. */
  positives(name: string, length: number): number[] {
    const value = this.#required(name, undefined)
    if (Array.isArray(value) && value.length === length && value.every(isPositive)) return value
    return this.fail(name, `must be a list of ${length} numbers above 0`)
  }

  /** True or false. */
  flag(name: string, fallback?: boolean): boolean {
    const value = this.#required(name, fallback)
    return typeof value === 'boolean' ? value : this.fail(name, 'must be true or false')
  }

  /** A text that is not empty. */
  text(name: string, fallback?: string): string {
    const value = this.#required(name, fallback)
    return typeof value === 'string' && value !== '' ? value : this.fail(name, 'must be a text')
  }

  /** A list of exactly `length` texts, each one of `choices`; undefined if the field is absent. */
  texts(name: string, length: number, choices: readonly string[]): string[] | undefined {
    const value = this.get(name)
    if (value === undefined) return undefined
    if (Array.isArray(value) && value.length === length && value.every((text) => choices.includes(text as string)))
      return value
    return this.fail(name, `must be a list of ${length} texts out of ${choices.join(', ')}`)
  }

  /**
   * One token id or a list of them, as a list; empty if the field is absent. Ids below 0, which some tools write for
   * none, are left out.
   */
  tokenIds(name: string): number[] {
    const value = this.get(name) ?? []
    const ids = (Array.isArray(value) ? value : [value]).filter((id: unknown) => !isNoToken(id))
    return ids.every(isCount) ? ids : this.fail(name, 'must be a token id, a whole number from 0, or a list of them')
  }

  /** Throws `CHECKPOINT_CONFIG` for a field. */
  fail(name: string, problem: string): never {
    throw new CheckpointError('CHECKPOINT_CONFIG', this.message(name, problem))
  }

  /** What is wrong with a field, with where it stands and its value. */
  message(name: string, problem: string): string {
    const value = this.get(name)
    const shown = value === undefined ? 'missing' : (JSON.stringify(value) ?? String(value)).slice(0, 80)
    return `${this.#where}: ${this.#key(name)} ${problem}; it is ${shown}`
  }

  /** The name, of the field's several ones, under which the object has it. */
  #key(name: string): string {
    const names = Object.hasOwn(this.#aliases, name) ? this.#aliases[name]! : [name]
    return (
      names.find((own) => Object.hasOwn(this.#values, own) && this.#values[own] !== null) ??
      names.find((own) => Object.hasOwn(this.#values, own)) ??
      names[0]!
    )
  }

  #required<T>(name: string, fallback: T | undefined): unknown {
    return this.get(name) ?? fallback
  }
}

function isPositive(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value > 0
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= MAX_SIZE
}

/** Whether a value is a whole number below 0, which is no token's id. */
export function isNoToken(value: unknown): boolean {
  return typeof value === 'number' && Number.isInteger(value) && value < 0
}
