import { UsageError } from '../../base/errors.ts'
import { closest } from '../../base/closest.ts'
import { type OptionTable, flagOf, nameOfKey } from './option-table.ts'
import type { Given, GivenOptions } from './given.ts'

/**
 * What a command line gives. A value in `raw` is a string, true (`--name`), false (`--no-name`), or an array of these
 * if an option was given more than once. Throws `USAGE` for options that the command does not have, and for a value
 * given to a switch.
 */
export function fromFlags(table: OptionTable, raw: Readonly<Record<string, unknown>>): GivenOptions {
  const given = new Map<string, Given>()
  const shorts = new Set(Object.values(table).map(({ short }) => short))
  for (const [key, value] of Object.entries(raw)) {
    // yargs repeats under its letter what an option was given.
    if (value === undefined || shorts.has(key)) continue
    const name = nameOfKey(key)
    const option = Object.hasOwn(table, name) ? table[name]! : undefined
    if (option === undefined) throw unknownOption(table, name)
    const flag = flagOf(name)
    const texts = [value].flat().map((item) => readText(flag, item, option.type === 'flag'))
    if (texts.length > 1 && option.type !== 'list')
      throw new UsageError(`${flag} is given ${texts.length} times (${texts.join(', ')}): give it once`)
    given.set(name, { texts, label: `${flag} ` })
  }
  return given
}

function readText(flag: string, value: unknown, isSwitch: boolean): string {
  if (isSwitch && typeof value !== 'boolean')
    throw new UsageError(`${flag} ${String(value)}: it is a switch and takes no value`)
  if (isSwitch || typeof value === 'string') return String(value)
  throw new UsageError(value === false ? `there is no option --no-${flag.slice(2)}` : `${flag} needs a value`)
}

function unknownOption(table: OptionTable, name: string): UsageError {
  if (name.length === 1) return new UsageError(`there is no option -${name}`)
  const near = closest(flagOf(name), Object.keys(table).map(flagOf))
  return new UsageError(`there is no option ${flagOf(name)}${near === undefined ? '' : `: did you mean ${near}?`}`)
}
