import type { AutoDistributedModelForCausalLM } from '../model/model.ts'
import { loadChatFormat } from '../chat/chat-format.ts'
import { PromptCache } from '../prompt-cache/prompt-cache.ts'
import { ChatSession } from './chat-session.ts'

export interface OpenChatOptions {
  /** 'model', 'chatml', 'plain', or the path of a jinja template. */
  readonly template: string
  /** The least length with which sessions are opened, in tokens; a longer conversation is copied into a longer one. */
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
  // However long somebody thinks, servers keep what they have room for.
  const texts = new PromptCache(model, { sessionTokens: options.sessionTokens, maxAgeMs: Infinity })
  const maxTokens = model.checkpoint.generation.maxPositions
  const session = new ChatSession({ template, tokenizer: model.tokenizer!, texts, maxTokens })
  return { session, eosTokenIds, stopStrings }
}
