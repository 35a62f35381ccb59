export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant'
  readonly content: string
}

/** Turns messages into the text that the model goes on from, up to where the assistant's answer begins. */
export interface ChatTemplate {
  /** Throws `CHAT_TEMPLATE`, with the template's own words where it refuses the messages. */
  render(messages: readonly ChatMessage[]): string
}
