import { PythonError, UnsupportedError } from '../errors.ts'

/** The kinds of tokens; an operator's kind is 'op'. */
export type TokenType =
  | 'data'
  | 'variable_begin'
  | 'variable_end'
  | 'block_begin'
  | 'block_end'
  | 'name'
  | 'string'
  | 'integer'
  | 'float'
  | 'op'
  | 'eof'

export interface Token {
  readonly type: TokenType
  readonly value: string
  readonly line: number
}

/** What begins a tag, with the sign that controls white space; `raw` is a tag of its own. */
const TAG = /\{%([-+]?)\s*raw\s*(?:-%\}\s*|%\})|(\{\{|\{%|\{#)([-+]?)/g

const COMMENT_END = /\+#\}|-#\}\s*|#\}\n?/g

const RAW_END = /\{%([-+]?)\s*endraw\s*(?:\+%\}|-%\}\s*|%\}\n?)/g

const ENDS = { block: /\+%\}|-%\}\s*|%\}\n?/y, variable: /-\}\}\s*|\}\}/y }

const INSIDE: readonly (readonly [TokenType | 'space', RegExp])[] = [
  ['space', /\s+/y],
  ['float', /(?<!\.)(?:\d+_)*\d+(?:(?:\.(?:\d+_)*\d+)?e[+-]?(?:\d+_)*\d+|\.(?:\d+_)*\d+)/iy],
  ['integer', /0b(?:_?[01])+|0o(?:_?[0-7])+|0x(?:_?[\da-f])+|[1-9](?:_?\d)*|0(?:_?0)*/iy],
  ['name', /[\p{L}\p{Nl}_][\p{L}\p{Nl}\p{Mn}\p{Mc}\p{Nd}\p{Pc}]*/uy],
  ['string', /'[^'\\]*(?:\\[^][^'\\]*)*'|"[^"\\]*(?:\\[^][^"\\]*)*"/y],
  ['op', /\/\/|\*\*|==|!=|>=|<=|[-+/*%~[\](){}><=.:|,;]/y],
]

const CLOSING: Readonly<Record<string, string>> = { '(': ')', '[': ']', '{': '}' }

/** The error of a template that jinja2 would not compile. */
export function syntaxError(message: string, line: number): PythonError {
  return new PythonError('TemplateSyntaxError', `${message} (line ${line})`)
}

/**
 * Splits a template into tokens as jinja2 does with trim_blocks and lstrip_blocks: the newline after a block goes, and
 * the white space before a block that begins its line.
 */
export function tokenize(template: string): Token[] {
  const text = template.replaceAll(/\r\n?/g, '\n').replace(/\n$/, '')
  return new Tokenizer(text).run()
}

class Tokenizer {
  readonly #text: string
  readonly #tokens: Token[] = []
  #at = 0
  #line = 1
  /** Whether what was read last ended a line, so that white space from here on begins one. */
  #lineStarts = true

  constructor(text: string) {
    this.#text = text
  }

  run(): Token[] {
    while (this.#at < this.#text.length) this.#dataAndTag()
    this.#push('eof', '')
    return this.#tokens
  }

  #dataAndTag(): void {
    TAG.lastIndex = this.#at
    const tag = TAG.exec(this.#text)
    if (tag === null) return this.#data(this.#text.slice(this.#at), '+', this.#text.length)
    const [whole, rawSign, opening, sign] = tag
    const before = this.#text.slice(this.#at, tag.index)
    this.#data(before, opening === '{{' && sign !== '-' ? '+' : (rawSign ?? sign!), tag.index + whole.length)
    if (opening === undefined) this.#raw()
    else if (opening === '{#') this.#skipTo(COMMENT_END, 'Missing end of comment tag')
    else this.#inside(opening === '{{' ? 'variable' : 'block')
  }

  /** Emits the data before a tag, stripped as the tag's sign says, and goes on behind the tag. */
  #data(data: string, sign: string, end: number): void {
    let kept = data
    if (sign === '-') kept = data.trimEnd()
    else if (sign === '') {
      const lineStart = data.lastIndexOf('\n') + 1
      if ((lineStart > 0 || this.#lineStarts) && /^\s+$/.test(data.slice(lineStart))) kept = data.slice(0, lineStart)
    }
    if (kept !== '') this.#push('data', kept)
    this.#advance(end)
  }

  #raw(): void {
    RAW_END.lastIndex = this.#at
    const end = RAW_END.exec(this.#text)
    if (end === null) throw syntaxError('Missing end of raw directive', this.#line)
    this.#data(this.#text.slice(this.#at, end.index), end[1]!, end.index + end[0].length)
  }

  #skipTo(pattern: RegExp, failure: string): void {
    pattern.lastIndex = this.#at
    const end = pattern.exec(this.#text)
    if (end === null) throw syntaxError(failure, this.#line)
    this.#advance(end.index + end[0].length)
  }

  #inside(kind: 'variable' | 'block'): void {
    this.#push(`${kind}_begin`, '')
    const open: string[] = []
    while (this.#at < this.#text.length) {
      const end = open.length === 0 ? this.#match(ENDS[kind]) : undefined
      if (end !== undefined) {
        this.#push(`${kind}_end`, '')
        return this.#advance(this.#at + end.length)
      }
      this.#token(open)
    }
  }

  #token(open: string[]): void {
    for (const [type, pattern] of INSIDE) {
      const found = this.#match(pattern)
      if (found === undefined) continue
      if (type === 'op') this.#balance(found, open)
      if (type === 'string') this.#push(type, unescape(found.slice(1, -1), this.#line))
      else if (type !== 'space') this.#push(type, type === 'name' || type === 'op' ? found : found.replaceAll('_', ''))
      return this.#advance(this.#at + found.length)
    }
    throw syntaxError(`unexpected char '${String.fromCodePoint(this.#text.codePointAt(this.#at)!)}'`, this.#line)
  }

  #balance(operator: string, open: string[]): void {
    if (operator in CLOSING) open.push(CLOSING[operator]!)
    else if (')]}'.includes(operator) && open.pop() !== operator)
      throw syntaxError(`unexpected '${operator}'`, this.#line)
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at
    return pattern.exec(this.#text)?.[0]
  }

  #advance(end: number): void {
    const passed = this.#text.slice(this.#at, end)
    this.#line += passed.split('\n').length - 1
    if (passed !== '') this.#lineStarts = passed.endsWith('\n')
    this.#at = end
  }

  #push(type: TokenType, value: string): void {
    this.#tokens.push({ type, value, line: this.#line })
  }
}

const SIMPLE_ESCAPES: Readonly<Record<string, string>> = {
  '\n': '',
  '\\': '\\',
  "'": "'",
  '"': '"',
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
}

/** The text that a literal means, by Python's escapes; unknown ones stay as they are. */
function unescape(literal: string, line: number): string {
  return literal.replaceAll(
    /\\(?:x([\da-fA-F]{2})|u([\da-fA-F]{4})|U([\da-fA-F]{8})|([0-7]{1,3})|([^]))/gu,
    (whole, x, u, wide, octal, other: string | undefined) => {
      const hex = (x ?? u ?? wide) as string | undefined
      if (hex !== undefined) return codePoint(Number.parseInt(hex, 16), line)
      if (octal !== undefined) return codePoint(Number.parseInt(octal as string, 8), line)
      if ('xuU'.includes(other!)) throw syntaxError(`truncated \\${other}XX escape`, line)
      if (other === 'N') throw new UnsupportedError('the escape \\N')
      return SIMPLE_ESCAPES[other!] ?? whole
    },
  )
}

function codePoint(code: number, line: number): string {
  if (code > 0x10ffff) throw syntaxError('illegal Unicode character', line)
  return String.fromCodePoint(code)
}
