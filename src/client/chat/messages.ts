/** A message of a conversation in plain text. */
export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant'
  readonly content: string
}

/** A message as templates see it, in the form of the hub: with tool calls, results of tools, a model's reasoning. */
export interface TemplateMessage {
  readonly role: string
  readonly content: string | null
  /** `tool_calls`, `tool_call_id`, `name`, `reasoning_content` and whatever else a template looks for. */
  readonly [name: string]: unknown
}

/** How a conversation is printed. */
export interface RenderOptions {
  /** Whether the text goes on to the beginning of the assistant's answer, as it does unless told otherwise. */
  readonly addGenerationPrompt?: boolean | undefined
  /** The tools that the model may call, each as a JSON schema of a function. */
  readonly tools?: readonly object[] | undefined
  /** Further variables of the template, e.g. `enable_thinking`. */
  readonly variables?: Readonly<Record<string, unknown>> | undefined
}

/** Turns messages into the text that the model continues. */
export interface ChatTemplate {
  /** Throws `CHAT_TEMPLATE`; if the template itself refuses the messages, with its own words. */
  render(messages: readonly (ChatMessage | TemplateMessage)[], options?: RenderOptions): string
}
