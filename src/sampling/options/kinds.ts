import { type Constraint, isConstraint } from '../grammar/constraint.ts'

/** The values that an option accepts, and how error messages describe them. */
export interface Kind<T> {
  readonly accepts: (value: unknown) => value is T
  /** Describes the accepted values, so that it reads on after "give" and after "must be". */
  readonly accepted: string
  /**
   * Turns the value in a JSON file into the option's form, before it is checked. Without it the value is taken as it
   * stands.
   */
  readonly fromJson?: (value: unknown) => unknown
}

/** Bounds of a number: `min` and `max` are accepted themselves, `above` is not. */
export interface Bounds {
  readonly min?: number
  readonly above?: number
  readonly max?: number
}

/** A number, whole or not, within bounds. */
export interface NumberKind extends Kind<number> {
  readonly type: 'number' | 'integer'
  readonly bounds: Bounds
}

export const FLAG: Kind<boolean> = {
  accepts: (value) => typeof value === 'boolean',
  accepted: 'true or false',
}

export const SIGNAL: Kind<AbortSignal> = {
  accepts: (value) => value instanceof AbortSignal,
  accepted: 'an AbortSignal',
}

export const SEED: NumberKind = {
  type: 'integer',
  bounds: {},
  accepts: (value): value is number => Number.isSafeInteger(value),
  accepted: `a whole number from ${Number.MIN_SAFE_INTEGER} to ${Number.MAX_SAFE_INTEGER}`,
}

export const ID: Kind<number> = { accepts: isId, accepted: 'a token id, a whole number of at least 0' }

export const IDS: Kind<readonly number[]> = {
  accepts: isIds,
  accepted: 'a list of token ids, whole numbers of at least 0',
  fromJson: listed,
}

export const ID_OR_IDS: Kind<number | readonly number[]> = {
  accepts: (value): value is number | readonly number[] => isId(value) || (isIds(value) && value.length > 0),
  accepted: 'a token id or a list of them, whole numbers of at least 0',
  fromJson: listed,
}

export const SEQUENCES: Kind<readonly (readonly number[])[]> = {
  accepts: (value): value is readonly (readonly number[])[] => Array.isArray(value) && value.every(isSequence),
  accepted: 'a list of lists of token ids, none of them empty',
}

export const SEQUENCE_BIASES: Kind<readonly (readonly [ids: readonly number[], bias: number])[]> = {
  accepts: (value): value is readonly (readonly [ids: readonly number[], bias: number])[] =>
    Array.isArray(value) &&
    value.every((pair) => Array.isArray(pair) && pair.length === 2 && isSequence(pair[0]) && isBias(pair[1])),
  accepted: 'a list of [ids, bias], the bias finite or -Infinity',
}

export const BIASES: Kind<Readonly<Record<number, number>>> = {
  accepts: (value): value is Readonly<Record<number, number>> =>
    isRecord(value) && Object.entries(value).every(([id, bias]) => isId(Number(id)) && isBias(bias)),
  accepted: 'an object of token ids and what to add to their logits, finite or -Infinity',
}

export const TEXTS: Kind<readonly string[]> = {
  accepts: (value): value is readonly string[] =>
    Array.isArray(value) && value.every((text) => typeof text === 'string' && text !== ''),
  accepted: 'a list of strings that are not empty',
  fromJson: listed,
}

/** A list of functions of type T; only that they are functions is checked. */
export function functions<T>(): Kind<readonly T[]> {
  return {
    accepts: (value): value is readonly T[] =>
      Array.isArray(value) && value.every((each) => typeof each === 'function'),
    accepted: 'a list of functions',
  }
}

export const CONSTRAINT: Kind<Constraint> = {
  accepts: (value): value is Constraint => isConstraint(value),
  accepted: "a constraint, such as { kind: 'json_schema', schema }",
}

/** A finite number within bounds; `note` explains a special value in messages. */
export function number(bounds: Bounds = {}, note?: string): NumberKind {
  return { type: 'number', ...bounded('a finite number', Number.isFinite, bounds, note) }
}

/** A whole number within bounds; `note` explains a special value in messages. */
export function integer(bounds: Bounds, note?: string): NumberKind {
  return { type: 'integer', ...bounded('a whole number', Number.isSafeInteger, bounds, note) }
}

function bounded(what: string, fits: (value: unknown) => boolean, bounds: Bounds, note: string | undefined) {
  const { min = -Infinity, above = -Infinity, max = Infinity } = bounds
  return {
    bounds,
    accepts: (value: unknown): value is number =>
      typeof value === 'number' && fits(value) && value >= min && value > above && value <= max,
    accepted: what + boundsText(bounds) + (note === undefined ? '' : ` (${note})`),
  }
}

function boundsText({ min, above, max }: Bounds): string {
  if (above !== undefined) return ` above ${above}${max === undefined ? '' : ` and at most ${max}`}`
  if (min === undefined) return max === undefined ? '' : ` of at most ${max}`
  return max === undefined ? ` of at least ${min}` : ` from ${min} to ${max}`
}

/** A single value as a list of one. */
function listed(value: unknown): unknown {
  return Array.isArray(value) ? value : [value]
}

function isId(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

function isIds(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every(isId)
}

function isSequence(value: unknown): value is readonly number[] {
  return isIds(value) && value.length > 0
}

function isBias(value: unknown): boolean {
  return typeof value === 'number' && value < Infinity
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
