import { Transform, type TransformCallback } from 'node:stream'
import { StringDecoder } from 'node:string_decoder'

/**
 * Stands for a line break within a message while the message is edited: readline ends its line at a real one. Hardly
 * anybody types it, and it shows what it is.
 */
export const BREAK = '␊'

const PASTE_BEGINS = '\x1b[200~'
const PASTE_ENDS = '\x1b[201~'

/** How long a mark that has begun may take; a single Escape is a key, and is passed on then. */
const MARK_WITHIN_MS = 50

/** Alt-Enter, and Shift-Enter where the terminal tells it from Enter. */
const BREAK_KEYS = ['\x1b\r', '\x1b\n', '\x1b[13;2u']

/**
 * What a terminal in the mode of bracketed paste sends, for readline: marks of pastes are taken out, and line breaks
 * within them become `BREAK`, as do keys that break a line. Of other control characters within a paste only tabs stay:
 * readline would take them for keys.
 */
export class PastedText extends Transform {
  readonly #decoder = new StringDecoder('utf8')
  #isPaste = false
  /** The last characters, if they may be the beginning of a mark. */
  #held = ''
  #timer: NodeJS.Timeout | undefined
  /** Whether the last character of the paste so far was a carriage return, of which a line feed may be a part. */
  #afterReturn = false

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    clearTimeout(this.#timer)
    let rest = this.#held + this.#decoder.write(chunk)
    this.#held = ''
    let text = ''
    for (;;) {
      const mark = this.#isPaste ? PASTE_ENDS : PASTE_BEGINS
      const at = rest.indexOf(mark)
      if (at < 0) break
      text += this.#read(rest.slice(0, at))
      rest = rest.slice(at + mark.length)
      this.#isPaste = !this.#isPaste
      this.#afterReturn = false
    }
    const held = heldLength(rest, this.#isPaste)
    this.#held = rest.slice(rest.length - held)
    text += this.#read(rest.slice(0, rest.length - held))
    if (this.#held !== '' && !this.#isPaste) this.#timer = setTimeout(() => this.#release(), MARK_WITHIN_MS)
    done(null, text === '' ? undefined : text)
  }

  override _flush(done: TransformCallback): void {
    this.#release()
    done()
  }

  /** Passes on what was no mark. */
  #release(): void {
    clearTimeout(this.#timer)
    if (this.#held !== '') this.push(this.#read(this.#held))
    this.#held = ''
  }

  #read(text: string): string {
    if (!this.#isPaste) return BREAK_KEYS.reduce((before, key) => before.replaceAll(key, BREAK), text)
    const whole = this.#afterReturn ? text.replace(/^\n/, '') : text
    if (text !== '') this.#afterReturn = text.endsWith('\r')
    return whole.replaceAll(/\r\n|\r|\n/g, BREAK).replaceAll(/(?!\t)\p{Cc}/gu, '')
  }
}

/** How many last characters may be the beginning of a mark. */
function heldLength(text: string, isPaste: boolean): number {
  const mark = isPaste ? PASTE_ENDS : PASTE_BEGINS
  for (let length = mark.length - 1; length > 0; length--) if (text.endsWith(mark.slice(0, length))) return length
  return 0
}
