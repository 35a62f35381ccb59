import { UnsupportedError } from './errors.ts'

const DAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday']

const MONTHS = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
]

/** Directives that stand for several others. */
const COMPOUND: Readonly<Record<string, string>> = {
  c: '%a %b %e %H:%M:%S %Y',
  D: '%m/%d/%y',
  F: '%Y-%m-%d',
  R: '%H:%M',
  T: '%H:%M:%S',
  x: '%m/%d/%y',
  X: '%H:%M:%S',
}

/**
 * `datetime.strftime` of a local time, as Python writes it on Linux in the C locale; `%-d` has no leading zero. Throws
 * for other directives.
 */
export function strftime(format: string, date: Date): string {
  return format.replaceAll(/%(-?)([^])?/g, (whole, bare: string, letter: string | undefined) => {
    const compound = COMPOUND[letter ?? '']
    if (compound !== undefined && bare === '') return strftime(compound, date)
    const text = directive(letter ?? '', date)
    if (text === undefined || (bare !== '' && !/^\d+$/.test(text)))
      throw new UnsupportedError(`strftime_now with ${whole}`)
    return bare === '' ? text : text.replace(/^0+(?=\d)/, '')
  })
}

const two = (value: number): string => String(value).padStart(2, '0')

function directive(letter: string, date: Date): string | undefined {
  const hour = date.getHours() % 12 || 12
  const texts: Readonly<Record<string, () => string>> = {
    a: () => DAYS[date.getDay()]!.slice(0, 3),
    A: () => DAYS[date.getDay()]!,
    w: () => String(date.getDay()),
    u: () => String(date.getDay() || 7),
    d: () => two(date.getDate()),
    e: () => String(date.getDate()).padStart(2),
    b: () => MONTHS[date.getMonth()]!.slice(0, 3),
    h: () => MONTHS[date.getMonth()]!.slice(0, 3),
    B: () => MONTHS[date.getMonth()]!,
    m: () => two(date.getMonth() + 1),
    y: () => two(date.getFullYear() % 100),
    Y: () => String(date.getFullYear()),
    H: () => two(date.getHours()),
    I: () => two(hour),
    p: () => (date.getHours() < 12 ? 'AM' : 'PM'),
    M: () => two(date.getMinutes()),
    S: () => two(date.getSeconds()),
    j: () => String(dayOfYear(date)).padStart(3, '0'),
    n: () => '\n',
    t: () => '\t',
    z: () => '',
    Z: () => '',
    '%': () => '%',
  }
  return Object.hasOwn(texts, letter) ? texts[letter]!() : undefined
}

function dayOfYear(date: Date): number {
  const day = Date.UTC(date.getFullYear(), date.getMonth(), date.getDate())
  return 1 + (day - Date.UTC(date.getFullYear(), 0, 1)) / 86_400_000
}
