import type { ChatMessage, RenderOptions, TemplateMessage } from './messages.ts'

/** The call that the thread for long conversations answers. */
export interface PrinterCalls {
  print(conversation: {
    readonly messages: readonly (ChatMessage | TemplateMessage)[]
    readonly options: RenderOptions
  }): { readonly text: string } | { readonly refusal: string }
}
