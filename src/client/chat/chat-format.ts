import { UsageError } from '../../base/errors.ts'
import type { Checkpoint } from '../../checkpoint/checkpoint.ts'
import type { ChatTokenizer } from './token-history.ts'
import { compileTemplate } from './jinja-template.ts'
import type { ChatTemplate } from './messages.ts'
import { type TemplateSource, findTemplate } from './template-source.ts'

/** The part of a model that its chats are formatted by. */
export interface ChatModel {
  readonly checkpoint: Pick<Checkpoint, 'folder' | 'generation'>
  readonly tokenizer: Pick<ChatTokenizer, 'encode'> | undefined
}

/** How conversations with a model are printed, and what ends its answers: EOS tokens and stop strings. */
export interface ChatFormat {
  readonly template: ChatTemplate
  readonly source: TemplateSource
  readonly eosTokenIds: readonly number[]
  readonly stopStrings: readonly string[]
}

/**
 * The format of a model's chats; `choice` is 'model' (its own template), 'chatml', 'plain', or a jinja file. Throws
 * `USAGE` if the model has no tokenizer or no chat template, and `CHAT_TEMPLATE` for a template that cannot be used.
 */
export async function loadChatFormat({ checkpoint, tokenizer }: ChatModel, choice: string): Promise<ChatFormat> {
  const { folder, generation } = checkpoint
  if (tokenizer === undefined) throw new UsageError(`${folder} has no tokenizer.json, which a chat needs`)
  const source = await findTemplate(folder, choice)
  const template = compileTemplate(source)
  const eosTokenIds = new Set(generation.eosTokenIds)
  const stopStrings: string[] = []
  const eosToken = source.specialTokens['eos_token']
  for (const text of [...(eosToken === undefined ? [] : [eosToken]), ...source.stopStrings]) {
    const ids = await tokenizer.encode(text, { addSpecialTokens: false })
    if (ids.length === 1) eosTokenIds.add(ids[0]!)
    else if (text !== eosToken) stopStrings.push(text)
  }
  return { template, source, eosTokenIds: [...eosTokenIds], stopStrings }
}
