import { UsageError } from '../../base/errors.ts'
import type { AutoDistributedModelForCausalLM } from '../model/model.ts'
import { ChatSession } from './chat-session.ts'
import { compileTemplate } from './jinja-template.ts'
import { findTemplate } from './template-source.ts'

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
  const {
    tokenizer,
    checkpoint: { folder, generation },
  } = model
  if (tokenizer === undefined) throw new UsageError(`${folder} has no tokenizer.json, which a chat needs`)
  const source = await findTemplate(folder, options.template)
  const template = compileTemplate(source)
  const eosTokenIds = new Set(generation.eosTokenIds)
  const stopStrings: string[] = []
  const eosToken = source.specialTokens['eos_token']
  for (const text of [...(eosToken === undefined ? [] : [eosToken]), ...source.stopStrings]) {
    const ids = await tokenizer.encode(text, { addSpecialTokens: false })
    if (ids.length === 1) eosTokenIds.add(ids[0]!)
    else if (text !== eosToken) stopStrings.push(text)
  }
  const session = new ChatSession(
    { template, tokenizer, openSession: (maxLength) => model.inferenceSession({ maxLength }) },
    { sessionTokens: options.sessionTokens, maxTokens: generation.maxPositions },
  )
  return { session, eosTokenIds: [...eosTokenIds], stopStrings }
}
