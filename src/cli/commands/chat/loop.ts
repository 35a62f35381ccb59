import { PetalsError, errorCode, errorMessage } from '../../../base/errors.ts'
import type { AnswerOptions, ChatAnswer, ChatSession } from '../../../client/chat-session/chat-session.ts'
import { Conversation } from '../../../client/chat/conversation.ts'
import type { Interruptible } from '../../process/interruptible.ts'
import { type ChatState, applyLine } from './commands.ts'
import type { ChatOutput } from './output.ts'
import { SavedChats } from './saved-chat.ts'
import type { AnswerSettings, SettingValues } from './settings.ts'

/** What a chat works with. */
export interface ChatParts {
  readonly session: Pick<ChatSession, 'answer' | 'maxTokens'>
  readonly output: ChatOutput
  readonly settings: AnswerSettings
  readonly work: Interruptible
  /** How an answer is generated, by what is set. */
  readonly options: (values: SettingValues) => AnswerOptions
}

/** Processes a chat's lines, one after another: messages to be answered, and commands. */
export class ChatLoop {
  readonly conversation = new Conversation()
  readonly #parts: ChatParts
  readonly #state: ChatState
  /** How many messages had been left out of what the model is told when that was said last. */
  #leftOut = 0

  constructor(parts: ChatParts) {
    this.#parts = parts
    this.#state = { conversation: this.conversation, settings: parts.settings, files: new SavedChats() }
  }

  /** Processes a line; returns false if it ends the chat. Rejects with the error of an answer that failed. */
  async take(line: string): Promise<boolean> {
    const { output, work } = this.#parts
    work.begin()
    if (line.trim() === '') return true
    const outcome = await applyLine(this.#state, line)
    if (outcome.kind === 'note') output.note(outcome.text)
    if (outcome.kind === 'answer') await work.run((signal) => this.#answer(signal))
    return outcome.kind !== 'exit'
  }

  async #answer(signal: AbortSignal): Promise<void> {
    const { output, session } = this.#parts
    const answer = await this.#write(signal).catch((error: unknown) => {
      if (errorCode(error) !== 'CHAT_TOO_LONG') throw error
      const cures = '/undo, /clear, /set on-full shift'
      throw new PetalsError('CHAT_TOO_LONG', `${errorMessage(error)} (${cures})`, { cause: error })
    })
    // If the answer was stopped before its first word, the message stays unanswered.
    if (answer.text !== '' || answer.finishReason !== 'aborted') this.conversation.answer(answer.text)
    output.end(answer)
    if (answer.leftOut > this.#leftOut)
      output.note(
        `(the model takes ${session.maxTokens} tokens: it was not told the first ${answer.leftOut} messages, ` +
          'and will not be again)',
      )
    this.#leftOut = answer.leftOut
    if (answer.isFull)
      output.note(
        `(the model takes ${session.maxTokens} tokens, and they are full: the answer ends here. /set on-full shift ` +
          'leaves out the oldest turns from now on, /undo takes back the last, /clear begins anew)',
      )
  }

  async #write(signal: AbortSignal): Promise<ChatAnswer> {
    const { output, session, settings, options } = this.#parts
    const chunks = session.answer(this.conversation.messages, { ...options(settings.values), signal })
    for (;;) {
      const next = await chunks.next()
      if (next.done === true) return next.value
      output.write(next.value.text)
    }
  }
}
