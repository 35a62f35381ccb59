export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant'
  readonly content: string
}

/** How a conversation is printed. */
export interface RenderOptions {
  /** Whether the text goes on to the beginning of the assistant's answer, as it does unless told otherwise. */
  readonly addGenerationPrompt?: boolean
}

/** Turns messages into the text that the model continues. */
export interface ChatTemplate {
  /** Throws `CHAT_TEMPLATE`; if the template itself refuses the messages, with its own words. */
  render(messages: readonly ChatMessage[], options?: RenderOptions): string
}
