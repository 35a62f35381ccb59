/** One server-sent event. */
export interface ServerEvent {
  /** Its kind; `message` where none was named. */
  readonly name: string
  readonly data: string
}

/** The events of a stream of bytes, as they come (WHATWG HTML, 9.2.6). An event that is not complete is left out. */
export async function* readEvents(bytes: ReadableStream<Uint8Array>): AsyncGenerator<ServerEvent> {
  const reader = bytes.getReader()
  const decoder = new TextDecoder()
  const parser = new EventParser()
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      yield* parser.push(decoder.decode(value, { stream: true }))
    }
  } finally {
    // Whoever stops reading wants no more of it.
    void reader.cancel().catch(() => undefined)
  }
}

/** Finds events in text that comes in pieces. */
export class EventParser {
  #rest = ''
  #name = ''
  #data: string[] = []

  /** Takes the next piece; gives the events that it completes. */
  push(text: string): ServerEvent[] {
    this.#rest += text
    // A carriage return at the end may be the first half of a line's end.
    const lines = this.#rest.split(/\r\n|\n|\r(?=[^])/)
    this.#rest = lines.pop()!
    return lines.flatMap((line) => this.#take(line) ?? [])
  }

  #take(line: string): ServerEvent | undefined {
    if (line !== '') {
      const [, field, value] = /^([^:]*)(?:: ?([^]*))?$/.exec(line)!
      if (field === 'event') this.#name = value ?? ''
      if (field === 'data') this.#data.push(value ?? '')
      return undefined
    }
    const event = { name: this.#name || 'message', data: this.#data.join('\n') }
    const isEmpty = this.#data.length === 0
    this.#name = ''
    this.#data = []
    return isEmpty ? undefined : event
  }
}
