import type { GenerationOptions } from '../../../sampling/options/options.ts'
import { FLAG, type Kind, type NumberKind } from '../../../sampling/options/kinds.ts'
import { type Declared, type Flag, OPTIONS } from '../../../sampling/options/table.ts'
import { type FlagOption, type ListOption, type NumberOption, type Option, flagOf } from '../option-table.ts'

type Table = typeof OPTIONS
type Flagged = { [K in keyof Table]: Table[K] extends { readonly flag: Flag } ? K : never }[keyof Table]
type FlagName<K extends Flagged> = Table[K]['flag'] extends { readonly name: infer N extends string } ? N : K

/** The flags of generation options. */
type AnswerFlags = {
  readonly [K in Flagged as FlagName<K>]: Table[K]['kind'] extends NumberKind
    ? NumberOption
    : Table[K]['kind'] extends Kind<boolean>
      ? FlagOption
      : ListOption
}

type AnswerValues = { readonly [name: string]: unknown }

const FLAGGED = Object.entries<Declared>(OPTIONS).flatMap(([option, { flag, kind }]) =>
  flag === undefined ? [] : [{ option, flag, kind, name: flag.name ?? option }],
)

/** The flags of generation options, by the options' names in the library. */
export const FLAG_OF_OPTION: Readonly<Record<string, string>> = Object.fromEntries(
  FLAGGED.map(({ option, name }) => [option, flagOf(name)]),
)

/** A flag for each generation option that has one; `group` is their heading in --help. */
export function answerFlags(group: string): AnswerFlags {
  return Object.fromEntries(FLAGGED.map(({ name, flag, kind }) => [name, flagOption(flag, kind, group)])) as AnswerFlags
}

/** The generation options that `values` (read flags) give; options whose flags were not given are absent. */
export function optionsOfFlags(values: AnswerValues): GenerationOptions {
  const given = FLAGGED.flatMap(({ option, name, flag: { unit = 1 } }) => {
    const value = values[name]
    if (value === undefined || value === false || (Array.isArray(value) && value.length === 0)) return []
    return [[option, typeof value === 'number' ? value * unit : value]]
  })
  return Object.fromEntries(given) as GenerationOptions
}

function flagOption({ description, short, shownDefault, reason }: Flag, kind: Kind<unknown>, group: string): Option {
  const shared = {
    group,
    description,
    ...(short !== undefined && { short }),
    ...(reason !== undefined && { reason }),
    defaultDescription: shownDefault,
  }
  if (kind === FLAG) return { type: 'flag', ...shared }
  return isNumber(kind) ? { type: kind.type, ...kind.bounds, ...shared } : { type: 'list', default: [], ...shared }
}

function isNumber(kind: Kind<unknown>): kind is NumberKind {
  return 'bounds' in kind
}
