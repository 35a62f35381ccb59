interface Described {
  readonly description: string
  /** The heading under which --help lists it. */
  readonly group: string
  /** What --help shows for the default where the value itself says little. */
  readonly defaultDescription?: string
  /** Why the default is what it is, for the reference page. */
  readonly reason?: string
  /** Options, by name, that cannot stand beside this one. */
  readonly rivals?: readonly string[]
}

export interface TextOption extends Described {
  readonly type: 'text'
  readonly default?: string
  readonly choices?: readonly string[]
  /** A path: completion offers files. */
  readonly isFile?: boolean
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

/** Bytes, given like 500MB or 10GiB. */
export interface SizeOption extends Described {
  readonly type: 'size'
  readonly default?: number
}

export interface FlagOption extends Described {
  readonly type: 'flag'
}

export type Option = TextOption | ListOption | NumberOption | SizeOption | FlagOption

/** Options by their names in camelCase; the flag of `drainTimeout` is `--drain-timeout`. */
export type OptionTable = Readonly<Record<string, Option>>

type BaseValue<O extends Option> = O extends FlagOption
  ? boolean
  : O extends ListOption
    ? readonly string[]
    : O extends NumberOption | SizeOption
      ? number
      : string

/** An option has no value only where it has no default and was not given. */
export type OptionValues<T extends OptionTable> = {
  readonly [K in keyof T]: T[K] extends FlagOption | { readonly default: unknown }
    ? BaseValue<T[K]>
    : BaseValue<T[K]> | undefined
}

/** `drainTimeout` is `--drain-timeout` on a command line ... */
export function flagOf(name: string): string {
  return `--${kebab(name)}`
}

/** ... `PETALS_DRAIN_TIMEOUT` in the environment ... */
export function variableOf(name: string): string {
  return `PETALS_${kebab(name).replaceAll('-', '_').toUpperCase()}`
}

/** ... and `drainTimeout` or `drain-timeout` in a file. */
export function nameOfKey(key: string): string {
  return key.replaceAll(/-([a-z])/g, (_, letter: string) => letter.toUpperCase())
}

/** What the default is, in words; undefined for none. */
export function defaultText(option: Option): string | undefined {
  if (option.defaultDescription !== undefined) return option.defaultDescription
  return option.type === 'flag' || option.default === undefined ? undefined : String(option.default)
}

/** The choices as a sentence has them: "a, b or c". */
export function oneOf(choices: readonly string[]): string {
  return choices.length < 2 ? choices.join('') : `${choices.slice(0, -1).join(', ')} or ${choices.at(-1)}`
}

function kebab(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
}
