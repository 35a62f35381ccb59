// Room answer/: what an answer is made of. `find-formats.ts`: how a model writes its thoughts and calls, from its chat
// template; here: its answer taken apart as it comes, by `call-scanner.ts` for what is a call; `tool-constraint.ts`:
// the constraint under which it cannot write a call wrongly.

import { randomBytes } from 'node:crypto'
import { CallScanner, ValueScanner } from './call-scanner.ts'
import { beginsWith, firstOf, settledLength } from './markers.ts'
import type { AnswerPart, Reasoning, ToolFormat } from './parts.ts'

/** What to look for in an answer. */
export interface AnswerFormat {
  /** How calls are written; undefined: they are content. */
  readonly toolFormat?: ToolFormat | undefined
  /** How thoughts are marked; undefined: they are content. */
  readonly reasoning?: Reasoning | undefined
}

/** Takes an answer apart while it comes. Pieces of text may be cut anywhere. */
export interface AnswerParser {
  /** Takes the next piece; returns what is certain by now. */
  push(text: string): AnswerPart[]
  /** Ends the answer; returns what was held back. */
  finish(): AnswerPart[]
}

/** What comes next: where the answer stands. */
type Mode = 'start' | 'reasoning' | 'answer' | 'content' | 'call' | 'between' | 'named' | 'named arguments'

const MARKERS: Readonly<Record<ToolFormat, string>> = {
  hermes: '<tool_call>',
  llama3: '<|python_tag|>',
  mistral: '[TOOL_CALLS]',
  'mistral-args': '[TOOL_CALLS]',
}

/** What may stand between two calls, or behind the last; blanks may as well. */
const SEPARATORS: Readonly<Record<ToolFormat, readonly string[]>> = {
  hermes: ['</tool_call>'],
  llama3: [';'],
  mistral: [',', ']'],
  'mistral-args': [],
}

/** What a function's name may consist of, in the form in which only its end tells it from what follows. */
const NAME = /^[\w.-]+/

/**
 * Begins to take an answer apart. Thoughts come without their marks and the blanks around them; calls with their
 * arguments as the model has written them. What looks like a call and turns out to be none before its name and the
 * beginning of its arguments have come is content, as it was written: nothing is lost but blanks around thoughts and
 * calls.
 */
export function openAnswerParser(format: AnswerFormat): AnswerParser {
  const parser = new Parser(format)
  return { push: (text) => parser.push(text), finish: () => parser.finish() }
}

class Parser {
  readonly #toolFormat: ToolFormat | undefined
  readonly #reasoning: Reasoning | undefined
  readonly #markers: readonly string[]
  #mode: Mode
  #hasReasoning = false
  /** Whether blanks before the answer belong to the thoughts before it. */
  #skipBlanks = false
  #pending = ''
  #parts: AnswerPart[] = []
  /** Of the call under way: all that has been read of it, so that it can be given back. */
  #raw = ''
  #scanner = new CallScanner()
  #value = new ValueScanner()
  #isAnnounced = false
  #numCalls = 0
  #isFinal = false

  constructor({ toolFormat, reasoning }: AnswerFormat) {
    this.#toolFormat = toolFormat
    this.#reasoning = reasoning
    this.#markers = toolFormat === undefined ? [] : [MARKERS[toolFormat]]
    this.#mode = reasoning === undefined ? 'answer' : 'start'
  }

  push(text: string): AnswerPart[] {
    this.#pending += text
    while (this.#step());
    return this.#taken()
  }

  finish(): AnswerPart[] {
    this.#isFinal = true
    while (this.#step());
    if (this.#mode === 'call' || this.#mode === 'named' || this.#mode === 'named arguments') this.#endCall()
    // A call that was none may leave blanks behind it.
    while (this.#step());
    return this.#taken()
  }

  #taken(): AnswerPart[] {
    const parts = this.#parts
    this.#parts = []
    return parts
  }

  /** Reads on; false if more must come first. */
  #step(): boolean {
    if (this.#pending === '') return false
    switch (this.#mode) {
      case 'start':
        return this.#readStart()
      case 'reasoning':
        return this.#readReasoning()
      case 'answer':
        return this.#readAnswer()
      case 'content':
        return this.#readContent()
      case 'call':
        return this.#readCall()
      case 'between':
        return this.#readBetween()
      case 'named':
        return this.#readName()
      case 'named arguments':
        return this.#readNamedArguments()
    }
  }

  /** Before the first thing that is no blank: thoughts, if they are marked; some mark again what the prompt has. */
  #readStart(): boolean {
    const text = this.#pending.trimStart()
    const begins = beginsWith(text, this.#reasoning!.open)
    if (begins === undefined && !this.#isFinal) return false
    if (begins === true) {
      this.#pending = text.slice(this.#reasoning!.open.length)
      this.#mode = 'reasoning'
    } else {
      this.#mode = this.#reasoning!.begun ? 'reasoning' : 'answer'
    }
    return true
  }

  #readReasoning(): boolean {
    const { close } = this.#reasoning!
    const found = firstOf(this.#pending, [close])
    const hasBegun = this.#hasReasoning
    const text = found === undefined ? this.#pending : this.#pending.slice(0, found.start)
    const shown = found !== undefined || this.#isFinal ? text.trimEnd().length : settledLength(text, [close])
    const rest =
      found === undefined ? (this.#isFinal ? '' : text.slice(shown)) : this.#pending.slice(found.start + close.length)
    this.#reason(hasBegun ? text.slice(0, shown) : text.slice(0, shown).trimStart())
    this.#pending = rest
    if (found === undefined) return false
    this.#mode = 'answer'
    this.#skipBlanks = true
    return true
  }

  #reason(text: string): void {
    if (text === '') return
    this.#hasReasoning = true
    this.#parts.push({ kind: 'reasoning', text })
  }

  /** The beginning of the answer itself. */
  #readAnswer(): boolean {
    const text = this.#pending.trimStart()
    if (text === '' && !this.#isFinal && (this.#skipBlanks || this.#toolFormat !== undefined)) return false
    if (this.#skipBlanks) this.#pending = text
    if (this.#toolFormat === 'llama3' && text.startsWith('{')) {
      this.#beginCall(this.#pending.length - text.length)
      return true
    }
    this.#mode = 'content'
    return true
  }

  #readContent(): boolean {
    const found = firstOf(this.#pending, this.#markers)
    if (found === undefined) {
      const shown = this.#isFinal ? this.#pending.length : settledLength(this.#pending, this.#markers)
      this.#content(this.#pending.slice(0, shown))
      this.#pending = this.#pending.slice(shown)
      return false
    }
    const before = this.#pending.slice(0, found.start).trimEnd().length
    this.#content(this.#pending.slice(0, before))
    this.#pending = this.#pending.slice(before)
    this.#beginCall(found.start - before + found.marker.length)
    return true
  }

  #content(text: string): void {
    if (text !== '') this.#parts.push({ kind: 'content', text })
  }

  /** Begins a call; `skipped`: what has come of it before the call itself. */
  #beginCall(skipped: number): void {
    this.#raw = this.#pending.slice(0, skipped)
    this.#pending = this.#pending.slice(skipped)
    this.#scanner = new CallScanner()
    this.#value = new ValueScanner()
    this.#isAnnounced = false
    this.#mode = 'call'
  }

  #readCall(): boolean {
    if (this.#toolFormat === 'mistral' || this.#toolFormat === 'mistral-args') {
      const first = /\S/.exec(this.#pending)?.[0]
      if (this.#scanner.isUntouched && first === undefined) return false
      if (this.#scanner.isUntouched && first === '[') return this.#take(this.#pending.indexOf('[') + 1)
      if (this.#scanner.isUntouched && first !== '{') {
        this.#mode = 'named'
        return true
      }
    }
    const scanner = this.#scanner
    this.#take(scanner.push(this.#pending))
    if (!this.#isAnnounced && scanner.name !== undefined && (scanner.hasArguments || this.#isWholeWithout(scanner)))
      this.#announce(scanner.name)
    if (this.#isAnnounced) this.#argue(scanner.takeArguments())
    if (!scanner.isDone && !scanner.isBad) return false
    if (this.#isAnnounced && !scanner.hasArguments) this.#argue('{}')
    this.#endCall()
    return true
  }

  /** Whether a call is over and has no arguments. What only looks like a call by chance must have some. */
  #isWholeWithout(scanner: CallScanner): boolean {
    return scanner.isDone && this.#toolFormat !== 'llama3'
  }

  /** A name that is followed by its arguments: `name[ARGS]{...}`, with an id between them or nothing at all. */
  #readName(): boolean {
    const text = this.#pending.trimStart()
    const name = NAME.exec(text)?.[0] ?? ''
    const behind = text
      .slice(name.length)
      .replace(/^\[CALL_ID\][\w-]*/, '')
      .replace('[ARGS]', '')
      .trimStart()
    if (name !== '' && behind.startsWith('{')) {
      this.#take(this.#pending.length - behind.length)
      this.#announce(name)
      this.#mode = 'named arguments'
      return true
    }
    const canCome = ['[CALL_ID]', '[ARGS]'].some((mark) => mark.startsWith(behind))
    if (!this.#isFinal && (text === '' || (name !== '' && canCome))) return false
    this.#endCall()
    return true
  }

  #readNamedArguments(): boolean {
    const read = this.#value.push(this.#pending, 0)
    this.#argue(this.#pending.slice(0, read))
    this.#take(read)
    if (!this.#value.isComplete) return false
    this.#endCall()
    return true
  }

  #announce(name: string): void {
    this.#isAnnounced = true
    this.#parts.push({ kind: 'tool_call', index: this.#numCalls++, id: newId(this.#toolFormat!), name })
  }

  #argue(text: string): void {
    if (text !== '') this.#parts.push({ kind: 'tool_arguments', index: this.#numCalls - 1, text })
  }

  /** Moves what has been read from what is pending to the call, which may have to be given back. */
  #take(length: number): boolean {
    if (!this.#isAnnounced) this.#raw += this.#pending.slice(0, length)
    this.#pending = this.#pending.slice(length)
    return true
  }

  /** Ends a call, or gives back what was none. */
  #endCall(): void {
    if (this.#isAnnounced) {
      this.#mode = 'between'
    } else {
      this.#content(this.#raw)
      this.#mode = 'content'
    }
    this.#raw = ''
  }

  /** Behind a call: another one, or content. */
  #readBetween(): boolean {
    const separators = SEPARATORS[this.#toolFormat!]
    const text = this.#pending.trimStart()
    if (text === '') return this.#drop('')
    const separator = separators.find((each) => text.startsWith(each))
    if (separator !== undefined) return this.#drop(text.slice(separator.length))
    if (!this.#isFinal && separators.some((each) => each.startsWith(text))) return false
    const isJson = this.#toolFormat === 'llama3' || this.#toolFormat === 'mistral'
    this.#pending = text
    if (isJson && text.startsWith('{')) this.#beginCall(0)
    else this.#mode = 'content'
    return true
  }

  #drop(rest: string): boolean {
    this.#pending = rest
    return rest !== ''
  }
}

/** A name for a call that no other has; templates of Mistral's insist on nine letters and digits. */
function newId(format: ToolFormat): string {
  const random = randomBytes(12).toString('hex')
  return format.startsWith('mistral') ? random.slice(0, 9) : `call_${random}`
}
