/** Keys under which a call's arguments come. */
const ARGUMENT_KEYS: ReadonlySet<string> = new Set(['arguments', 'parameters'])

/** Keys that may come beside, and say nothing that is needed. */
const OTHER_KEYS: ReadonlySet<string> = new Set(['type', 'id'])

const BLANK = /\s/

type State = 'before' | 'before key' | 'key' | 'colon' | 'value' | 'after' | 'done' | 'bad'

/**
 * Reads one call, `{"name": "f", "arguments": {...}}` with its keys in any order, as it comes. Arguments can be taken
 * piece by piece; whether they are JSON is not asked, only where they end.
 */
export class CallScanner {
  #state: State = 'before'
  #key = ''
  /** The value under way, and what is open within it. */
  #value = new ValueScanner()
  #name: string | undefined
  #arguments: string | undefined

  /** Whether nothing of it has come but blanks. */
  get isUntouched(): boolean {
    return this.#state === 'before'
  }

  /** Whether the call's last bracket has come. */
  get isDone(): boolean {
    return this.#state === 'done'
  }

  /** Whether this is no call. */
  get isBad(): boolean {
    return this.#state === 'bad'
  }

  get name(): string | undefined {
    return this.#name
  }

  /** Whether arguments have begun. */
  get hasArguments(): boolean {
    return this.#arguments !== undefined
  }

  /** What has come of the arguments since it was last asked. */
  takeArguments(): string {
    const text = this.#arguments ?? ''
    if (this.#arguments !== undefined) this.#arguments = ''
    return text
  }

  /** Reads on; returns how many UTF-16 units of `text` were read, up to the call's end or to where it is none. */
  push(text: string): number {
    let at = 0
    while (at < text.length && this.#state !== 'done' && this.#state !== 'bad') at += this.#step(text, at)
    return at
  }

  #step(text: string, at: number): number {
    if (this.#state === 'key') return this.#readKey(text, at)
    const c = text[at]!
    const isBlank = BLANK.test(c)
    if (this.#state === 'value' && !(isBlank && this.#value.text === '')) return this.#readValue(text, at)
    if (isBlank) return 1
    this.#state = this.#next(c)
    if (this.#state === 'key' || this.#state === 'value') this.#value = new ValueScanner()
    // The quote that begins a key belongs to it.
    return this.#state === 'bad' || this.#state === 'key' ? 0 : 1
  }

  #next(c: string): State {
    switch (this.#state) {
      case 'before':
        return c === '{' ? 'before key' : 'bad'
      case 'before key':
        return c === '"' ? 'key' : 'bad'
      case 'colon':
        return c === ':' ? 'value' : 'bad'
      case 'after':
        return c === ',' ? 'before key' : c === '}' ? 'done' : 'bad'
      default:
        return 'bad'
    }
  }

  #readKey(text: string, at: number): number {
    const read = this.#value.push(text, at)
    if (!this.#value.isComplete) return read
    this.#key = String(parsed(this.#value.text))
    const isKnown = this.#key === 'name' || ARGUMENT_KEYS.has(this.#key) || OTHER_KEYS.has(this.#key)
    this.#state = isKnown ? 'colon' : 'bad'
    return read
  }

  #readValue(text: string, at: number): number {
    const value = this.#value
    const read = value.push(text, at)
    const isArguments = ARGUMENT_KEYS.has(this.#key)
    // Arguments in a string are taken out of it, which is only possible as a whole.
    if (isArguments && value.isContainer) this.#arguments = (this.#arguments ?? '') + text.slice(at, at + read)
    if (!value.isComplete) return read
    this.#state = 'after'
    const whole = value.text
    if (this.#key === 'name') {
      const name = parsed(whole)
      if (typeof name === 'string' && name !== '') this.#name = name
      else this.#state = 'bad'
    } else if (isArguments && !value.isContainer) {
      const inner = parsed(whole)
      this.#arguments = inner === null ? '{}' : typeof inner === 'string' ? inner : whole
    }
    return read
  }
}

/** Finds the end of a JSON value as it comes. */
export class ValueScanner {
  /** What has come of it. */
  text = ''
  isComplete = false
  #depth = 0
  #inString = false
  #escaped = false

  /** Whether it is an object or an array. */
  get isContainer(): boolean {
    return this.text.startsWith('{') || this.text.startsWith('[')
  }

  /** Reads `text` from `from`; returns how much of it belongs to the value. */
  push(text: string, from: number): number {
    let at = from
    for (; at < text.length && !this.isComplete; at++) {
      const c = text[at]!
      if (this.#isBehind(c)) {
        this.isComplete = true
        break
      }
      this.#read(c)
      this.text += c
    }
    return at - from
  }

  /** Whether a number or a word ends before `c`. */
  #isBehind(c: string): boolean {
    const isBare = this.text !== '' && !this.isContainer && !this.text.startsWith('"')
    return isBare && (c === ',' || c === '}' || c === ']' || BLANK.test(c))
  }

  #read(c: string): void {
    if (this.#inString) {
      if (this.#escaped) this.#escaped = false
      else if (c === '\\') this.#escaped = true
      else if (c === '"') {
        this.#inString = false
        this.isComplete = this.#depth === 0
      }
      return
    }
    if (c === '"') this.#inString = true
    else if (c === '{' || c === '[') this.#depth++
    else if (c === '}' || c === ']') this.isComplete = --this.#depth <= 0
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
