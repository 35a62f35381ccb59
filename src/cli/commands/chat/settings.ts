import { UsageError } from '../../../base/errors.ts'
import { closest } from '../../../base/closest.ts'
import { type Option, type OptionValues, defaultText, flagOf, nameOfKey } from '../../options/option-table.ts'
import { answerOptions } from '../../options/tables/answer-options.ts'
import { defaultOf } from '../../options/read-options.ts'
import { readValue } from '../../options/read-value.ts'
import { chatOptions } from './options.ts'

const { maxNewTokens, onFull } = chatOptions

/** What can be set while a chat goes on, as the options of the same names. */
const SETTABLE = { ...answerOptions, maxNewTokens, onFull }

export type SettingValues = OptionValues<typeof SETTABLE>

const DEFAULT = 'default'

/** How answers are generated from now on. */
export class AnswerSettings {
  #values: SettingValues

  constructor(values: SettingValues) {
    this.#values = values
  }

  get values(): SettingValues {
    return this.#values
  }

  /** Reads `NAME VALUE`, where the value `default` gives it back. Returns what it is now. Throws `USAGE`. */
  set(text: string): string {
    const [, key = '', value] = /^(\S+)(?:\s+([^]*))?$/.exec(text) ?? []
    const name = nameOfKey(key.replace(/^--/, '').replaceAll('_', '-'))
    const option = Object.hasOwn(SETTABLE, name) ? (SETTABLE as Record<string, Option>)[name]! : undefined
    if (option === undefined) throw unknownSetting(name)
    if (value === undefined) return this.#line(name, option)
    const given = { texts: [value], label: `/set ${key} ` }
    const read = value === DEFAULT ? defaultOf(option) : readValue(option, given)
    this.#values = { ...this.#values, [name]: read }
    return this.#line(name, option)
  }

  /** A line for each setting. */
  describe(): string {
    return Object.entries<Option>(SETTABLE)
      .map(([name, option]) => this.#line(name, option))
      .join('\n')
  }

  #line(name: string, option: Option): string {
    const value: unknown = (this.#values as Record<string, unknown>)[name]
    const isOwn = value !== undefined && !(Array.isArray(value) && value.length === 0)
    return `${nameOf(name)} ${isOwn ? [value].flat().join(', ') : `(${defaultText(option)})`}`
  }
}

function nameOf(name: string): string {
  return flagOf(name).slice(2)
}

function unknownSetting(name: string): UsageError {
  const names = Object.keys(SETTABLE).map(nameOf)
  const near = closest(nameOf(name), names)
  const cure = near === undefined ? `; there are ${names.join(', ')}` : `: did you mean ${near}?`
  return new UsageError(`there is no setting ${nameOf(name)}${cure}`)
}
