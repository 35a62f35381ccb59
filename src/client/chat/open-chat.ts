import type { AutoDistributedModelForCausalLM } from '../model/model.ts'
import { loadChatFormat } from './chat-format.ts'
import { ChatSession } from './chat-session.ts'

export interface OpenChatOptions {
  /** 'model', 'chatml', 'plain', or the path of a jinja template. */
  readonly template: string
  /** Length of the first session in tokens. */
  readonly sessionTokens: number
}

/** A chat, and what ends its answers: EOS tokens and stop strings. */
export interface OpenedChat {
  readonly session: ChatSession
  readonly eosTokenIds: readonly number[]
  readonly stopStrings: readonly string[]
}

/**
 * Opens a chat with a model. Throws `USAGE` if the model has no tokenizer or no chat template, and `CHAT_TEMPLATE` for
 * a template that cannot be used.
 */
export async function openChat(model: AutoDistributedModelForCausalLM, options: OpenChatOptions): Promise<OpenedChat> {
  const { template, eosTokenIds, stopStrings } = await loadChatFormat(model, options.template)
  const session = new ChatSession(
    { template, tokenizer: model.tokenizer!, openSession: (maxLength) => model.inferenceSession({ maxLength }) },
    { sessionTokens: options.sessionTokens, maxTokens: model.checkpoint.generation.maxPositions },
  )
  return { session, eosTokenIds, stopStrings }
}
