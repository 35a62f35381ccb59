import type { ChatAnswer, ChatSession } from '../../client/chat/chat-session.ts'
import { Conversation } from '../../client/chat/conversation.ts'
import type { GenerationOptions } from '../../sampling/options/options.ts'
import { applyLine } from './commands.ts'
import type { ChatOutput } from './output.ts'

type AnswerOptions = GenerationOptions & { readonly maxNewTokens: number }

/** Processes a chat's lines, one after another: messages to be answered, and commands. */
export class ChatLoop {
  readonly conversation = new Conversation()
  readonly #session: Pick<ChatSession, 'answer'>
  readonly #output: ChatOutput
  readonly #options: AnswerOptions
  #answering: AbortController | undefined
  /** Whether Ctrl-C was pressed since the last line while no answer was under way. */
  #asked = false

  constructor(session: Pick<ChatSession, 'answer'>, output: ChatOutput, options: AnswerOptions) {
    this.#session = session
    this.#output = output
    this.#options = options
  }

  /** Processes a line; returns false if it ends the chat. Rejects with the error of an answer that failed. */
  async take(line: string): Promise<boolean> {
    this.#asked = false
    if (line.trim() === '') return true
    const outcome = applyLine(this.conversation, line)
    if (outcome.kind === 'note') this.#output.note(outcome.text)
    if (outcome.kind === 'answer') await this.#answer()
    return outcome.kind !== 'exit'
  }

  /** Handles Ctrl-C: stops the answer under way. Returns false if the program should end instead. */
  interrupt(): boolean {
    if (this.#answering !== undefined) {
      if (this.#answering.signal.aborted) return false
      this.#answering.abort()
      return true
    }
    if (this.#asked) return false
    this.#asked = true
    this.#output.note('(Ctrl-C again ends; /help lists commands)')
    return true
  }

  async #answer(): Promise<void> {
    this.#answering = new AbortController()
    try {
      const answer = await this.#write(this.#answering.signal)
      // If the answer was stopped before its first word, the message stays unanswered.
      if (answer.text !== '' || answer.finishReason !== 'aborted') this.conversation.answer(answer.text)
      this.#output.end(answer)
    } finally {
      this.#answering = undefined
    }
  }

  async #write(signal: AbortSignal): Promise<ChatAnswer> {
    const chunks = this.#session.answer(this.conversation.messages, { ...this.#options, signal })
    for (;;) {
      const next = await chunks.next()
      if (next.done === true) return next.value
      this.#output.write(next.value.text)
    }
  }
}
