import { UsageError } from '../base/errors.ts'
import { closest } from './closest.ts'

interface Described {
  readonly description: string
  /** The heading under which --help lists it. */
  readonly group: string
  /** What --help shows for the default where the value itself says little. */
  readonly defaultDescription?: string
}

export interface TextOption extends Described {
  readonly type: 'text'
  readonly default?: string
  readonly choices?: readonly string[]
}

/** May be given more than once. */
export interface ListOption extends Described {
  readonly type: 'list'
  readonly default: readonly string[]
}

export interface NumberOption extends Described {
  readonly type: 'number' | 'integer'
  readonly default?: number
  readonly min?: number
  /** A bound that is itself not accepted. */
  readonly above?: number
  readonly max?: number
}

export interface FlagOption extends Described {
  readonly type: 'flag'
}

export type Option = TextOption | ListOption | NumberOption | FlagOption

/** Options by their names in camelCase; the flag of `drainTimeout` is `--drain-timeout`. */
export type OptionTable = Readonly<Record<string, Option>>

type BaseValue<O extends Option> =
  O extends FlagOption ? boolean : O extends ListOption ? readonly string[] : O extends NumberOption ? number : string

/** An option has no value only where it has no default and was not given. */
export type OptionValues<T extends OptionTable> = {
  readonly [K in keyof T]: T[K] extends FlagOption | { readonly default: unknown } ? BaseValue<T[K]> : BaseValue<T[K]> | undefined
}

export function flagOf(name: string): string {
  return `--${name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`
}

/**
 * The values of a table's options out of raw ones by name, where a value is a string, a boolean, or an array of them if it
 * was given more than once. Throws `USAGE`, naming the option, its value and what is accepted.
 */
export function readOptions<T extends OptionTable>(table: T, raw: Readonly<Record<string, unknown>>): OptionValues<T> {
  for (const name of Object.keys(raw)) if (!Object.hasOwn(table, name)) throw unknownOption(table, name)
  return Object.fromEntries(Object.entries(table).map(([name, option]) =>
    [name, readOption(flagOf(name), option, raw[name])])) as OptionValues<T>
}

function readOption(flag: string, option: Option, raw: unknown): unknown {
  if (option.type === 'list') return raw === undefined ? option.default : [raw].flat().map((value) => readText(flag, value))
  if (Array.isArray(raw)) throw new UsageError(`${flag} is given ${raw.length} times (${raw.join(', ')}): give it once`)
  if (option.type === 'flag') return readFlag(flag, raw)
  if (raw === undefined) return option.default
  const text = readText(flag, raw)
  if (option.type === 'text') return checkChoice(flag, option, text)
  return readNumber(flag, option, text)
}

function readText(flag: string, raw: unknown): string {
  if (typeof raw === 'string') return raw
  throw new UsageError(`${flag} needs a value`)
}

function readFlag(flag: string, raw: unknown): boolean {
  if (raw === undefined || typeof raw === 'boolean') return raw ?? false
  throw new UsageError(`${flag} ${String(raw)}: it is a switch and takes no value`)
}

function checkChoice(flag: string, { choices }: TextOption, text: string): string {
  if (choices === undefined || choices.includes(text)) return text
  throw new UsageError(`${flag} ${text}: expected ${oneOf(choices)}`)
}

function readNumber(flag: string, { type, min = -Infinity, above = -Infinity, max = Infinity }: NumberOption, text: string): number {
  const value = text.trim() === '' ? NaN : Number(text)
  const fits = type === 'integer' ? Number.isSafeInteger(value) : Number.isFinite(value)
  if (fits && value >= min && value > above && value <= max) return value
  const kind = type === 'integer' ? 'a whole number' : 'a number'
  throw new UsageError(`${flag} ${text === '' ? '""' : text}: expected ${kind}${above > -Infinity ? ` above ${above}${max < Infinity ? ' and' : ''}` : ''}${rangeText(min, max)}`)
}

function rangeText(min: number, max: number): string {
  if (max < Infinity) return min > -Infinity ? ` from ${min} to ${max}` : ` at most ${max}`
  return min > -Infinity ? ` of at least ${min}` : ''
}

function oneOf(choices: readonly string[]): string {
  return `${choices.slice(0, -1).join(', ')} or ${choices.at(-1)}`
}

function unknownOption(table: OptionTable, name: string): UsageError {
  const near = closest(flagOf(name), Object.keys(table).map(flagOf))
  return new UsageError(`there is no option ${flagOf(name)}${near === undefined ? '' : `: did you mean ${near}?`}`)
}
