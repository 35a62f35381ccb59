import { UsageError } from '../../base/errors.ts'
import { type Option, type OptionTable, type OptionValues, flagOf } from './option-table.ts'
import type { Given, GivenOptions } from './given.ts'
import { readValue } from './read-value.ts'

/**
 * Chooses, for each option, what its first source gives; `sources` are ordered by precedence. An option is dropped if a
 * source of higher precedence gives one that excludes it. Throws `USAGE` if one source gives two options that exclude
 * each other.
 */
export function choose(table: OptionTable, sources: readonly GivenOptions[]): GivenOptions {
  const chosen = new Map<string, Given>()
  for (const source of sources) {
    const from = new Set(chosen.keys())
    for (const [name, given] of source) {
      if (chosen.has(name)) continue
      const rivals = (table[name]?.rivals ?? []).filter((rival) => chosen.has(rival))
      const beside = rivals.find((rival) => !from.has(rival))
      if (beside !== undefined)
        throw new UsageError(`${flagOf(beside)} and ${flagOf(name)} exclude each other: give one of them`)
      if (rivals.length === 0) chosen.set(name, given)
    }
  }
  return chosen
}

/** The values of all options of a table. Throws `USAGE` for a value that is not accepted. */
export function readOptions<T extends OptionTable>(table: T, given: GivenOptions): OptionValues<T> {
  return Object.fromEntries(
    Object.entries(table).map(([name, option]) => {
      const own = given.get(name)
      return [name, own === undefined ? defaultOf(option) : readValue(option, own)]
    }),
  ) as OptionValues<T>
}

/** An option's value where nobody gives it. */
export function defaultOf(option: Option): unknown {
  return option.type === 'flag' ? false : option.default
}

/**
 * An error that names an option by its flag is returned with the name of the place where the value was really given.
 */
export function nameSource(error: unknown, given: GivenOptions): unknown {
  if (!(error instanceof UsageError)) return error
  for (const [name, { label }] of given) {
    const flag = flagOf(name)
    if (label === `${flag} ` || !new RegExp(`^${flag}[ :]`).test(error.message)) continue
    const rest = error.message.slice(flag.length)
    return new UsageError(
      rest.startsWith(':') ? `${label.replace(/(=|: )$/, '')}${rest}` : `${label}${rest.trimStart()}`,
      { cause: error },
    )
  }
  return error
}
