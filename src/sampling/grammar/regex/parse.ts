import { errorMessage } from '../../../base/errors.ts'
import { type CodePoints, MAX_CODE_POINT, complement, normalized } from '../terms/code-points.ts'

/** A regular expression, taken apart. */
export type Regex =
  | { readonly kind: 'characters'; readonly ranges: CodePoints }
  | { readonly kind: 'sequence'; readonly items: readonly Regex[] }
  | { readonly kind: 'choice'; readonly options: readonly Regex[] }
  | { readonly kind: 'repeat'; readonly item: Regex; readonly min: number; readonly max: number }
  | { readonly kind: 'start' | 'end' }
  | { readonly kind: 'ahead'; readonly item: Regex; readonly negative: boolean }

/** Why a pattern cannot be used: `construct` is the part of it. */
export class RegexProblem extends Error {
  readonly construct: string

  constructor(construct: string, why: string) {
    super(why)
    this.construct = construct
  }
}

/** How deep groups may lie within groups: deeper than anybody writes them. */
const MAX_DEPTH = 100

const DIGITS: CodePoints = [[0x30, 0x39]]
const WORD = normalized([
  [0x30, 0x39],
  [0x41, 0x5a],
  [0x5f, 0x5f],
  [0x61, 0x7a],
])
const SPACES = normalized(
  [...'\t\n\v\f\r \u00a0\u1680\u2028\u2029\u202f\u205f\u3000\ufeff']
    .map((c): [number, number] => [c.codePointAt(0)!, c.codePointAt(0)!])
    .concat([[0x2000, 0x200a]]),
)
const LINE_ENDS = normalized([
  [0x0a, 0x0a],
  [0x0d, 0x0d],
  [0x2028, 0x2029],
])

const CLASSES: Readonly<Record<string, CodePoints>> = {
  d: DIGITS,
  D: complement(DIGITS),
  w: WORD,
  W: complement(WORD),
  s: SPACES,
  S: complement(SPACES),
}

const CONTROLS: Readonly<Record<string, number>> = { t: 9, n: 10, v: 11, f: 12, r: 13 }

/** Parses a pattern as ECMAScript does with the flag `u`, or without where that refuses it. Throws `RegexProblem`. */
export function parseRegex(pattern: string): Regex {
  checkSyntax(pattern)
  const parser = new Parser(pattern)
  return parser.parse()
}

function checkSyntax(pattern: string): void {
  const problems = ['u', ''].map((flags) => syntaxProblem(pattern, flags))
  if (problems.every((problem) => problem !== undefined)) throw new RegexProblem(pattern, problems[1]!)
}

function syntaxProblem(pattern: string, flags: string): string | undefined {
  try {
    return void RegExp(pattern, flags)
  } catch (error) {
    return errorMessage(error)
  }
}

/** By recursive descent; the syntax has been checked. */
class Parser {
  readonly #characters: readonly string[]
  #at = 0
  #depth = 0

  constructor(pattern: string) {
    this.#characters = [...pattern]
  }

  parse(): Regex {
    const regex = this.#choice()
    if (this.#at < this.#characters.length) throw new RegexProblem(this.#peek(), 'is out of place')
    return regex
  }

  #peek(offset = 0): string {
    return this.#characters[this.#at + offset] ?? ''
  }

  #take(text: string): boolean {
    if (![...text].every((c, i) => this.#peek(i) === c)) return false
    this.#at += [...text].length
    return true
  }

  #choice(): Regex {
    if (++this.#depth > MAX_DEPTH) throw new RegexProblem('(', `groups deeper than ${MAX_DEPTH}`)
    const options = [this.#sequence()]
    while (this.#take('|')) options.push(this.#sequence())
    this.#depth--
    return options.length === 1 ? options[0]! : { kind: 'choice', options }
  }

  #sequence(): Regex {
    const items: Regex[] = []
    while (this.#at < this.#characters.length && this.#peek() !== '|' && this.#peek() !== ')') items.push(this.#item())
    return items.length === 1 ? items[0]! : { kind: 'sequence', items }
  }

  #item(): Regex {
    const item = this.#unit()
    const bounds = this.#quantifier()
    if (bounds === undefined) return item
    this.#take('?')
    return { kind: 'repeat', item, min: bounds[0], max: bounds[1] }
  }

  #quantifier(): readonly [number, number] | undefined {
    if (this.#take('*')) return [0, Infinity]
    if (this.#take('+')) return [1, Infinity]
    if (this.#take('?')) return [0, 1]
    const text = this.#characters.slice(this.#at, this.#at + 24).join('')
    const counts = /^\{(\d+)(,(\d*))?\}/.exec(text)
    if (counts === null) return undefined
    this.#at += counts[0].length
    const min = Number(counts[1])
    return [min, counts[2] === undefined ? min : counts[3] === '' ? Infinity : Number(counts[3])]
  }

  #unit(): Regex {
    const c = this.#peek()
    this.#at++
    switch (c) {
      case '^':
        return { kind: 'start' }
      case '$':
        return { kind: 'end' }
      case '.':
        return characters(complement(LINE_ENDS))
      case '[':
        return characters(this.#class())
      case '(':
        return this.#group()
      case '\\':
        return characters(this.#escape(false))
      default:
        return characters(single(c.codePointAt(0)!))
    }
  }

  #group(): Regex {
    let ahead: boolean | undefined
    if (this.#take('?')) {
      if (this.#take('=')) ahead = false
      else if (this.#take('!')) ahead = true
      else if (this.#peek() === '<' && (this.#peek(1) === '=' || this.#peek(1) === '!'))
        throw new RegexProblem('(?<', 'looking behind is not supported')
      else if (this.#take('<')) while (!this.#take('>')) this.#at++
      else if (!this.#take(':')) throw new RegexProblem(`(?${this.#peek()}`, 'is not supported')
    }
    const item = this.#choice()
    this.#take(')')
    return ahead === undefined ? item : { kind: 'ahead', item, negative: ahead }
  }

  #class(): CodePoints {
    const negative = this.#take('^')
    const ranges: (readonly [number, number])[] = []
    while (!this.#take(']')) {
      const first = this.#classAtom()
      if (this.#peek() === '-' && this.#peek(1) !== ']') {
        const before = this.#at++
        const last = this.#classAtom()
        if (first.length === 1 && first[0]![0] === first[0]![1] && last.length === 1) {
          ranges.push([first[0]![0], last[0]![1]])
          continue
        }
        this.#at = before + 1
        ranges.push([0x2d, 0x2d])
      }
      ranges.push(...first)
    }
    const all = normalized(ranges)
    return negative ? complement(all) : all
  }

  #classAtom(): CodePoints {
    const c = this.#peek()
    this.#at++
    return c === '\\' ? this.#escape(true) : single(c.codePointAt(0)!)
  }

  #escape(inClass: boolean): CodePoints {
    const c = this.#peek()
    this.#at++
    const known = CLASSES[c]
    if (known !== undefined) return known
    if (CONTROLS[c] !== undefined) return single(CONTROLS[c])
    if (c === 'b' && inClass) return single(8)
    if (c === 'b' || c === 'B') throw new RegexProblem(`\\${c}`, 'word boundaries are not supported')
    if (c === 'p' || c === 'P') throw new RegexProblem(`\\${c}`, 'Unicode properties are not supported; give ranges')
    if (c === '0') return single(0)
    if (c === 'k' || (c >= '1' && c <= '9')) throw new RegexProblem(`\\${c}`, 'references back are not supported')
    if (c === 'x') return single(this.#hex(2))
    if (c === 'u') return single(this.#unicode())
    if (c === 'c') {
      this.#at++
      return single(this.#peek(-1).codePointAt(0)! % 32)
    }
    return single(c.codePointAt(0)!)
  }

  #unicode(): number {
    if (this.#take('{')) {
      let digits = ''
      while (!this.#take('}')) digits += this.#characters[this.#at++]
      return Math.min(MAX_CODE_POINT, Number.parseInt(digits, 16))
    }
    const first = this.#hex(4)
    if (first < 0xd800 || first > 0xdbff || !this.#take('\\u')) return first
    return String.fromCharCode(first, this.#hex(4)).codePointAt(0)!
  }

  #hex(digits: number): number {
    const text = this.#characters.slice(this.#at, this.#at + digits).join('')
    this.#at += digits
    const value = Number.parseInt(text, 16)
    if (Number.isNaN(value)) throw new RegexProblem(`\\${text}`, 'is no escape')
    return value
  }
}

function characters(ranges: CodePoints): Regex {
  return { kind: 'characters', ranges }
}

function single(c: number): CodePoints {
  return [[c, c]]
}
