/** What all kinds of options have. */
interface Described {
  readonly description: string
  /** The heading in --help under which the option is listed. */
  readonly group: string
  /** Shown in --help as the default, if the default's value alone would not say enough. */
  readonly defaultDescription?: string
  /** Why the default has its value, for the reference page. */
  readonly reason?: string
  /** A letter by which the option can be given as well: `-m`. */
  readonly short?: string
  /** Names of options that exclude this one. */
  readonly rivals?: readonly string[]
}

/** An option whose value is a text. */
export interface TextOption extends Described {
  readonly type: 'text'
  readonly default?: string
  readonly choices?: readonly string[]
  /** Whether the value is a path; shells then complete file names. */
  readonly isFile?: boolean
}

/** An option that may be given more than once. */
export interface ListOption extends Described {
  readonly type: 'list'
  readonly default: readonly string[]
}

/** An option whose value is a number, whole or not, within bounds. */
export interface NumberOption extends Described {
  readonly type: 'number' | 'integer'
  readonly default?: number
  readonly min?: number
  /** A lower bound that is itself not accepted. */
  readonly above?: number
  readonly max?: number
}

/** An option whose value is a number of bytes, written e.g. 500MB or 10GiB. */
export interface SizeOption extends Described {
  readonly type: 'size'
  readonly default?: number
}

/** A switch. */
export interface FlagOption extends Described {
  readonly type: 'flag'
}

/** A declared option. */
export type Option = TextOption | ListOption | NumberOption | SizeOption | FlagOption

/** Options by their names in camelCase. */
export type OptionTable = Readonly<Record<string, Option>>

type BaseValue<O extends Option> = O extends FlagOption
  ? boolean
  : O extends ListOption
    ? readonly string[]
    : O extends NumberOption | SizeOption
      ? number
      : string

/** The values of a table's options. Undefined is possible only for options without a default. */
export type OptionValues<T extends OptionTable> = {
  readonly [K in keyof T]: T[K] extends FlagOption | { readonly default: unknown }
    ? BaseValue<T[K]>
    : BaseValue<T[K]> | undefined
}

/** An option's name on the command line: `drainTimeout` is `--drain-timeout`. */
export function flagOf(name: string): string {
  return `--${kebab(name)}`
}

/** An option's name in the environment: `drainTimeout` is `PETALS_DRAIN_TIMEOUT`. */
export function variableOf(name: string): string {
  return `PETALS_${kebab(name).replaceAll('-', '_').toUpperCase()}`
}

/** The option that a key of a config file means: `drainTimeout` and `drain-timeout` both mean `drainTimeout`. */
export function nameOfKey(key: string): string {
  return key.replaceAll(/-([a-z])/g, (_, letter: string) => letter.toUpperCase())
}

/** An option's default in words; undefined if it has none. */
export function defaultText(option: Option): string | undefined {
  if (option.defaultDescription !== undefined) return option.defaultDescription
  return option.type === 'flag' || option.default === undefined ? undefined : String(option.default)
}

/** A list of choices as part of a sentence: "a, b or c". */
export function oneOf(choices: readonly string[]): string {
  return choices.length < 2 ? choices.join('') : `${choices.slice(0, -1).join(', ')} or ${choices.at(-1)}`
}

function kebab(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
}
