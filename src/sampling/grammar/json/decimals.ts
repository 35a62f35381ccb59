import { byteSet } from '../terms/byte-set.ts'
import type { Automaton } from '../terms/term.ts'

/** Whether a number is less than another (-1), equal (0) or more (1). */
export type Order = -1 | 0 | 1

/** A number's digits before and behind the point, without zeros that do not count. */
export interface Decimal {
  readonly negative: boolean
  readonly whole: string
  readonly fraction: string
}

const MINUS = 0x2d
const POINT = 0x2e
const ZERO = 0x30

/** What tells the bytes of a decimal apart: sign, point, and each digit. */
const SYMBOLS = [MINUS, POINT, ...Array.from({ length: 10 }, (_, digit) => ZERO + digit)].map((byte) =>
  byteSet([[byte, byte]]),
)

/** The shortest decimal that reads as `value`. */
export function decimalOf(value: number): Decimal {
  const [mantissa = '', exponent = '0'] = Math.abs(value).toExponential().split('e')
  const digits = mantissa.replace('.', '')
  const point = Number(exponent) + 1
  const whole = point <= 0 ? '' : digits.slice(0, point).padEnd(point, '0')
  const fraction = point <= 0 ? '0'.repeat(-point) + digits : digits.slice(point)
  return { negative: value < 0, whole: whole.replace(/^0+/, ''), fraction: fraction.replace(/0+$/, '') }
}

/** Decimals whose order to `limit` is accepted by `holds`. That they are well formed is looked after elsewhere. */
export function comparison(limit: Decimal, holds: (order: Order) => boolean): Automaton {
  const whole = limit.whole === '' ? '0' : limit.whole
  const { fraction } = limit
  const isZero = whole === '0' && fraction === ''
  // A state is a sign, a side of the point, the digits on that side as far as they matter, and the order so far.
  const width = Math.max(whole.length, fraction.length) + 2
  const encode = (negative: number, behind: number, at: number, order: number): number =>
    ((negative * 2 + behind) * width + at) * 3 + ((order + 3) % 3)
  const decode = (state: number) => {
    const order = (((state % 3) + 1) % 3) - 1
    const rest = Math.floor(state / 3)
    const sides = Math.floor(rest / width)
    return { negative: sides >> 1, behind: sides & 1, at: rest % width, order }
  }
  const orderOfWhole = (at: number, order: number): number => (at === whole.length ? order : at < whole.length ? -1 : 1)
  return {
    sets: SYMBOLS,
    next(state, byte) {
      const { negative, behind, at, order } = decode(state)
      if (byte === MINUS) return state === 0 ? encode(1, 0, 0, 0) : -1
      if (byte === POINT) return behind === 1 ? -1 : encode(negative, 1, 0, orderOfWhole(at, order))
      if (byte < ZERO || byte > ZERO + 9) return -1
      const digits = behind === 1 ? fraction : whole
      const to = digits.charCodeAt(at) || ZERO
      const next = order !== 0 || (behind === 0 && at >= whole.length) ? order : Math.sign(byte - to)
      return encode(negative, behind, Math.min(at + 1, digits.length + 1), next)
    },
    accepts(state) {
      const { negative, behind, at, order } = decode(state)
      let magnitude = behind === 1 ? order : orderOfWhole(at, order)
      if (magnitude === 0 && (behind === 0 ? fraction !== '' : at < fraction.length)) magnitude = -1
      if (isZero) return holds((negative === 1 ? -magnitude : magnitude) as Order)
      if (limit.negative) return holds((negative === 1 ? -magnitude : 1) as Order)
      return holds((negative === 1 ? -1 : magnitude) as Order)
    },
  }
}

/** Decimals that are whole multiples of `divisor`. */
export function multiples({ whole, fraction }: Decimal): Automaton {
  const divisor = Number(whole + fraction)
  const scale = fraction.length
  // A state is the remainder of all digits, and 0 before the point or 1 more than the digits behind it.
  const width = scale + 2
  const powers = Array.from({ length: scale + 1 }, (_, i) => 10 ** i)
  return {
    sets: SYMBOLS,
    next(state, byte) {
      const phase = state % width
      const remainder = Math.floor(state / width)
      if (byte === MINUS) return state
      if (byte === POINT) return phase === 0 && scale > 0 ? state + 1 : -1
      if (byte < ZERO || byte > ZERO + 9 || phase > scale) return -1
      return ((remainder * 10 + byte - ZERO) % divisor) * width + (phase === 0 ? 0 : phase + 1)
    },
    accepts(state) {
      const behind = Math.max(0, (state % width) - 1)
      return (Math.floor(state / width) * powers[scale - behind]!) % divisor === 0
    },
  }
}
