import { homedir } from 'node:os'
import { UsageError } from '../../base/errors.ts'
import { type NumberOption, type Option, type TextOption, oneOf } from './option-table.ts'
import type { Given } from './given.ts'

const SWITCH: Readonly<Record<string, boolean>> = { true: true, yes: true, 1: true, false: false, no: false, 0: false }

const BYTES: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
}

/** The given value in the option's type. Throws `USAGE`, naming the place, the text and what is accepted. */
export function readValue(option: Option, { texts, label }: Given): unknown {
  if (option.type === 'list') return texts
  if (texts.length !== 1) throw new UsageError(`${label}${texts.join(', ')}: give one value, not ${texts.length}`)
  const text = texts[0]!
  const value = parse(option, text)
  if (value !== undefined) return value
  throw new UsageError(`${label}${text === '' ? '""' : text}: expected ${expected(option)}`)
}

/** Parses a text; undefined if the option does not accept it. */
function parse(option: Exclude<Option, { type: 'list' }>, text: string): unknown {
  if (option.type === 'flag') return Object.hasOwn(SWITCH, text.toLowerCase()) ? SWITCH[text.toLowerCase()] : undefined
  if (option.type === 'text')
    return option.choices === undefined || option.choices.includes(text) ? expandHome(option, text) : undefined
  if (option.type === 'size') return parseSize(text)
  return parseNumber(option, text)
}

/** Replaces a leading ~ in a path. A shell does so only where it recognises a path, e.g. not in `--file=~/a`. */
function expandHome({ isFile }: TextOption, text: string): string {
  return isFile === true ? text.replace(/^~(?=\/|$)/, homedir()) : text
}

function parseNumber(
  { type, min = -Infinity, above = -Infinity, max = Infinity }: NumberOption,
  text: string,
): number | undefined {
  const value = text.trim() === '' ? NaN : Number(text)
  const fits = type === 'integer' ? Number.isSafeInteger(value) : Number.isFinite(value)
  return fits && value >= min && value > above && value <= max ? value : undefined
}

function parseSize(text: string): number | undefined {
  const [, digits, unit] = /^(\d+(?:\.\d+)?) ?([a-z]*)$/i.exec(text.trim()) ?? []
  const bytes = digits === undefined ? undefined : BYTES[unit!.toLowerCase()]
  return bytes === undefined ? undefined : Math.round(Number(digits) * bytes)
}

function expected(option: Option): string {
  if (option.type === 'flag') return 'true or false (also yes, no, 1, 0)'
  if (option.type === 'size') return 'a size like 500MB, 10GiB or a number of bytes'
  if (option.type === 'text' || option.type === 'list') return oneOf((option.type === 'text' && option.choices) || [])
  return numberText(option)
}

/** The numbers that an option accepts, in words. */
export function numberText({ type, min = -Infinity, above = -Infinity, max = Infinity }: NumberOption): string {
  const kind = type === 'integer' ? 'a whole number' : 'a number'
  if (above > -Infinity) return `${kind} above ${above}${max < Infinity ? ` and at most ${max}` : ''}`
  if (max < Infinity) return `${kind}${min > -Infinity ? ` from ${min} to ${max}` : ` of at most ${max}`}`
  return `${kind}${min > -Infinity ? ` of at least ${min}` : ''}`
}
