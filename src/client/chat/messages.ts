export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant'
  readonly content: string
}

/** Turns messages into the text that the model continues, up to the beginning of the assistant's answer. */
export interface ChatTemplate {
  /** Throws `CHAT_TEMPLATE`; if the template itself refuses the messages, with its own words. */
  render(messages: readonly ChatMessage[]): string
}
