import { UsageError } from '../../base/errors.ts'
import type { ChatMessage } from './messages.ts'

/** The messages of a chat, and the changes that a user can make to them. */
export class Conversation {
  #system: string | undefined
  #turns: { user: string; assistant: string | undefined }[] = []

  /** The system message, if any, and the turns in order. The last turn has no answer yet if one is due. */
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

  /** The user's last message; undefined if there is none. */
  get lastUser(): string | undefined {
    return this.#turns.at(-1)?.user
  }

  /** Adds a question. One that has got no answer is replaced, because roles must alternate. */
  ask(user: string): void {
    if (this.#turns.at(-1)?.assistant === undefined) this.#turns.pop()
    this.#turns.push({ user, assistant: undefined })
  }

  /** Sets the answer of the last turn. Throws `USAGE` if there is no turn. */
  answer(assistant: string): void {
    this.#last().assistant = assistant
  }

  /** Removes the last answer, so that it is due again. Throws `USAGE` if there is no turn. */
  retry(): void {
    this.#last().assistant = undefined
  }

  /** Replaces the last question and removes its answer. Throws `USAGE` if there is no turn. */
  edit(user: string): void {
    this.retry()
    this.ask(user)
  }

  /** Removes the last turn. Throws `USAGE` if there is none. */
  undo(): void {
    this.retry()
    this.#turns.pop()
  }

  /** Removes all turns. */
  clear(): void {
    this.#turns = []
  }

  /** Sets the system message; an empty text removes it. */
  setSystem(text: string): void {
    this.#system = text === '' ? undefined : text
  }

  /**
   * Replaces everything by these messages. Throws `USAGE` unless they are a system message, or none, and turns of user
   * and assistant in this order; the last answer may be missing.
   */
  load(messages: readonly ChatMessage[]): void {
    const system = messages[0]?.role === 'system' ? messages[0].content : undefined
    const rest = messages.slice(system === undefined ? 0 : 1)
    const wrong = rest.findIndex(({ role }, i) => role !== (i % 2 === 0 ? 'user' : 'assistant'))
    if (wrong >= 0) {
      throw new UsageError(
        `message ${wrong + messages.length - rest.length + 1} is of the ${rest[wrong]!.role}: ` +
          'user and assistant take turns, behind a system message or none',
      )
    }
    const questions = rest.filter(({ role }) => role === 'user')
    this.#system = system
    this.#turns = questions.map(({ content }, i) => ({ user: content, assistant: rest[2 * i + 1]?.content }))
  }

  #last(): { user: string; assistant: string | undefined } {
    const turn = this.#turns.at(-1)
    if (turn === undefined) throw new UsageError('nothing has been said yet')
    return turn
  }
}
