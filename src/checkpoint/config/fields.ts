import { CheckpointError } from '../errors.ts'
import type { JsonObject } from './json.ts'

/** No size in a model comes near this; it keeps products of two sizes exact. */
const MAX_SIZE = 2 ** 31 - 1

/** Other names of a field, of which the first that is given counts. */
export type Aliases = Readonly<Record<string, readonly string[]>>

/**
 * Reads the fields of one JSON object, checked. `where` is how messages name the object, e.g. `/models/a/config.json`.
 * A field that is absent or null takes the fallback; without a fallback it is an error. All errors are
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

  /** The value, or undefined where it is absent or null. */
  get(name: string): unknown {
    const key = this.#key(name)
    return Object.hasOwn(this.#values, key) ? (this.#values[key] ?? undefined) : undefined
  }

  /** Whether it is there, if only as null. */
  has(name: string): boolean {
    return Object.hasOwn(this.#values, this.#key(name))
  }

  size(name: string, fallback?: number, max = MAX_SIZE): number {
    const value = this.#required(name, fallback)
    if (typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= max) return value
    return this.fail(name, `must be an integer from 1 to ${max}`)
  }

  count(name: string, fallback?: number): number {
    const value = this.#required(name, fallback)
    if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= MAX_SIZE) return value
    return this.fail(name, `must be an integer from 0 to ${MAX_SIZE}`)
  }

  /** Whole numbers from 0; none where the field is absent. */
  counts(name: string): number[] {
    const value = this.get(name) ?? []
    return Array.isArray(value) && value.every(isCount)
      ? value
      : this.fail(name, 'must be a list of whole numbers from 0')
  }

  positive(name: string, fallback?: number): number {
    const value = this.#required(name, fallback)
    if (typeof value === 'number' && Number.isFinite(value) && value > 0) return value
    return this.fail(name, 'must be a number above 0')
  }

  optionalPositive(name: string, fallback?: number): number | undefined {
    return this.get(name) === undefined && fallback === undefined ? undefined : this.positive(name, fallback)
  }

  positives(name: string, length: number): number[] {
    const value = this.#required(name, undefined)
    if (Array.isArray(value) && value.length === length && value.every(isPositive)) return value
    return this.fail(name, `must be a list of ${length} numbers above 0`)
  }

  flag(name: string, fallback?: boolean): boolean {
    const value = this.#required(name, fallback)
    return typeof value === 'boolean' ? value : this.fail(name, 'must be true or false')
  }

  text(name: string, fallback?: string): string {
    const value = this.#required(name, fallback)
    return typeof value === 'string' && value !== '' ? value : this.fail(name, 'must be a text')
  }

  /** A list of `length` texts, each one of `choices`; undefined where it is absent. */
  texts(name: string, length: number, choices: readonly string[]): string[] | undefined {
    const value = this.get(name)
    if (value === undefined) return undefined
    if (Array.isArray(value) && value.length === length && value.every((text) => choices.includes(text as string)))
      return value
    return this.fail(name, `must be a list of ${length} texts out of ${choices.join(', ')}`)
  }

  /** One token id or a list of them; none where the field is absent. */
  tokenIds(name: string): number[] {
    const value = this.get(name) ?? []
    const ids: unknown[] = Array.isArray(value) ? value : [value]
    return ids.every(isCount) ? ids : this.fail(name, 'must be a token id, a whole number from 0, or a list of them')
  }

  fail(name: string, problem: string): never {
    const value = this.get(name)
    const shown = value === undefined ? 'missing' : (JSON.stringify(value) ?? String(value)).slice(0, 80)
    throw new CheckpointError('CHECKPOINT_CONFIG', `${this.#where}: ${this.#key(name)} ${problem}; it is ${shown}`)
  }

  /** The name that the object has for a field. */
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
