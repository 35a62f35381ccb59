import { UsageError } from '../../base/errors.ts'
import type { ChatMessage } from './messages.ts'

/** The messages of a chat, and what a user may do to them. */
export class Conversation {
  #system: string | undefined
  #turns: { user: string; assistant: string | undefined }[] = []

  /** The system message, the turns in their order, and none for an answer that is still due. */
  get messages(): ChatMessage[] {
    const system: ChatMessage[] = this.#system === undefined ? [] : [{ role: 'system', content: this.#system }]
    return [
      ...system,
      ...this.#turns.flatMap(({ user, assistant }): ChatMessage[] => [
        { role: 'user', content: user },
        ...(assistant === undefined ? [] : [{ role: 'assistant' as const, content: assistant }]),
      ]),
    ]
  }

  get numTurns(): number {
    return this.#turns.length
  }

  /** What the user said last; undefined at the beginning. */
  get lastUser(): string | undefined {
    return this.#turns.at(-1)?.user
  }

  /** Takes the place of a question to which no answer came: roles alternate. */
  ask(user: string): void {
    if (this.#turns.at(-1)?.assistant === undefined) this.#turns.pop()
    this.#turns.push({ user, assistant: undefined })
  }

  answer(assistant: string): void {
    this.#last().assistant = assistant
  }

  /** Takes the last answer back: it is due again. Throws `USAGE` where there is no turn. */
  retry(): void {
    this.#last().assistant = undefined
  }

  /** Asks something else in the last turn. Throws `USAGE` where there is none. */
  edit(user: string): void {
    this.retry()
    this.ask(user)
  }

  /** Forgets the last turn. Throws `USAGE` where there is none. */
  undo(): void {
    this.retry()
    this.#turns.pop()
  }

  /** Forgets all turns. */
  clear(): void {
    this.#turns = []
  }

  /** Empty takes it away. */
  setSystem(text: string): void {
    this.#system = text === '' ? undefined : text
  }

  #last(): { user: string; assistant: string | undefined } {
    const turn = this.#turns.at(-1)
    if (turn === undefined) throw new UsageError('nothing has been said yet')
    return turn
  }
}
