import type { Derivatives } from '../terms/derivatives.ts'
import type { Term } from '../terms/term.ts'
import type { Terms } from '../terms/terms.ts'
import { type Order, comparison, decimalOf, multiples } from './decimals.ts'

/** What a JSON number must be. Of several multiples it must be one of each. */
export interface NumberBounds {
  readonly integer: boolean
  readonly minimum?: number | undefined
  readonly maximum?: number | undefined
  readonly exclusiveMinimum?: number | undefined
  readonly exclusiveMaximum?: number | undefined
  readonly multiplesOf: readonly number[]
}

/** Digits of a number without bounds, before the point and behind it: what a double can hold, and no endless tail. */
const MAX_DIGITS = 21

/** Digits of which every combination is another double, so that a comparison of digits is one of numbers. */
const EXACT_DIGITS = 15

/**
 * A JSON number. Without bounds an exponent is accepted, with them none. With bounds it is no longer than it can be
 * told from others: 15 digits, or as many as the bounds have.
 */
export function number(terms: Terms, derivatives: Derivatives, bounds: NumberBounds): Term {
  const { integer, multiplesOf } = bounds
  const compared = comparisons(bounds)
  if (compared.length + multiplesOf.length === 0) return terms.atom(integer ? anyInteger(terms) : anyNumber(terms))
  const digits = Math.max(EXACT_DIGITS, ...compared.map(({ limit }) => decimalOf(limit).whole.length))
  const { sign, natural, fraction } = parts(terms, digits)
  return terms.atom(
    derivatives.and([
      terms.concat(sign, natural, integer ? terms.epsilon : terms.optional(fraction)),
      withDigits(terms, digits),
      ...compared.map(({ limit, holds }) => terms.machine(comparison(decimalOf(limit), holds))),
      ...multiplesOf.map((divisor) => terms.machine(multiples(decimalOf(divisor)))),
    ]),
  )
}

function comparisons({ minimum, maximum, exclusiveMinimum, exclusiveMaximum }: NumberBounds) {
  const all: [limit: number | undefined, holds: (order: Order) => boolean][] = [
    [minimum, (order) => order >= 0],
    [exclusiveMinimum, (order) => order > 0],
    [maximum, (order) => order <= 0],
    [exclusiveMaximum, (order) => order < 0],
  ]
  return all.flatMap(([limit, holds]) => (limit === undefined ? [] : [{ limit, holds }]))
}

function parts(terms: Terms, digits: number) {
  const digit = terms.range(0x30, 0x39)
  const large = terms.concat(terms.range(0x31, 0x39), terms.repeat(digit, 0, digits - 1))
  return {
    sign: terms.optional(terms.text('-')),
    natural: terms.or([terms.text('0'), large]),
    fraction: terms.concat(terms.text('.'), terms.repeat(digit, 1, digits)),
    digit,
  }
}

function anyInteger(terms: Terms): Term {
  const { sign, natural } = parts(terms, MAX_DIGITS)
  return terms.concat(sign, natural)
}

/** Below 1e300: a double holds it. */
function anyNumber(terms: Terms): Term {
  const { sign, natural, fraction, digit } = parts(terms, MAX_DIGITS)
  const size = terms.or([
    terms.repeat(digit, 1, 2),
    terms.concat(terms.text('1'), digit, digit),
    terms.concat(terms.text('2'), terms.range(0x30, 0x37), digit),
  ])
  const plusOrMinus = terms.optional(terms.or([terms.text('+'), terms.text('-')]))
  const exponent = terms.concat(terms.or([terms.text('e'), terms.text('E')]), plusOrMinus, size)
  return terms.concat(sign, natural, terms.optional(fraction), terms.optional(exponent))
}

/** Whatever has at most so many digits. */
function withDigits(terms: Terms, digits: number): Term {
  const digit = terms.concat(terms.range(0x30, 0x39), terms.optional(terms.text('.')))
  return terms.concat(terms.optional(terms.text('-')), terms.repeat(digit, 1, digits))
}
