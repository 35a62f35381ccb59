import { basename } from 'node:path'
import type { ChatFormat } from '../../client/chat/chat-format.ts'
import { loadChatFormat } from '../../client/chat/chat-format.ts'
import type { AutoDistributedModelForCausalLM } from '../../client/model/model.ts'
import { PromptPrinter } from '../../client/chat/prompt-printer.ts'
import { TokenHistories } from '../../client/chat/token-histories.ts'
import { PromptCache } from '../../client/prompt-cache/prompt-cache.ts'
import { prepareForConstraints } from '../../client/model/prepare-constraint.ts'
import { badRequest, unavailable } from '../errors/api-error.ts'
import { errorMessage } from '../../base/errors.ts'
import { TokenTexts } from './token-texts.ts'

/** Seconds after which a swarm that lacks blocks may have them again. */
const RETRY_AFTER_SECONDS = 10

/** How a model is served. */
export interface ServedModelOptions {
  /** 'model', 'chatml', 'plain', or a jinja file. */
  readonly template: string
  /** The most tokens of earlier prompts that servers are asked to keep; 0: none. */
  readonly promptCacheTokens: number
}

/** A model's chats, and what prints them. */
interface ServedChat extends ChatFormat {
  readonly printer: PromptPrinter
}

/** A model that the API answers for, over its swarm. */
export class ServedModel {
  /** Its name in lists and answers: that of the hub, or else its folder's. */
  readonly id: string
  readonly model: AutoDistributedModelForCausalLM
  readonly tokens: TokenTexts
  /** What servers keep of earlier prompts. */
  readonly promptCache: PromptCache
  /** The tokens of earlier conversations; undefined without a tokenizer. */
  readonly histories: TokenHistories | undefined
  /** When it was opened, in seconds since 1970. */
  readonly created = Math.floor(Date.now() / 1000)
  readonly #names: ReadonlySet<string>
  readonly #chat: ServedChat | string

  /**
   * `source` is the model as the user named it; `template` as in `loadChatFormat`. A model without a template serves
   * all but chats. Close it before the model.
   */
  static async open(
    model: AutoDistributedModelForCausalLM,
    source: string,
    { template, promptCacheTokens }: ServedModelOptions,
  ): Promise<ServedModel> {
    const chat = await loadChatFormat(model, template).catch((error: unknown) => {
      if (template !== 'model') throw error
      return errorMessage(error)
    })
    await prepareForConstraints(model)
    // A cache of a single token keeps nothing.
    const cache = new PromptCache(model, { maxTokens: Math.max(1, promptCacheTokens) })
    return new ServedModel(model, source, chat, cache)
  }

  private constructor(
    model: AutoDistributedModelForCausalLM,
    source: string,
    chat: ChatFormat | string,
    promptCache: PromptCache,
  ) {
    const { remote, folder, config } = model.checkpoint
    this.model = model
    this.id = remote?.repo ?? basename(folder)
    this.tokens = new TokenTexts(model.tokenizer)
    this.promptCache = promptCache
    this.histories = model.tokenizer === undefined ? undefined : new TokenHistories(model.tokenizer)
    const savedAs = config.raw['_name_or_path']
    this.#names = new Set([
      this.id,
      source,
      folder,
      ...(typeof savedAs === 'string' && savedAs !== '' ? [savedAs] : []),
    ])
    this.#chat = typeof chat === 'string' ? chat : { ...chat, printer: new PromptPrinter(chat) }
  }

  /** Frees what servers keep for it, and ends what prints its chats. */
  async close(): Promise<void> {
    const printer = typeof this.#chat === 'string' ? undefined : this.#chat.printer
    await Promise.all([this.promptCache.close(), printer?.close()])
  }

  /** The most tokens of prompt and answer together. */
  get maxTokens(): number {
    return this.model.checkpoint.generation.maxPositions
  }

  /** The adapters that its servers offer. */
  get adapters(): readonly string[] {
    return [...new Set(this.model.swarm.records().flatMap(({ adapters }) => adapters))].toSorted()
  }

  /** The blocks that nobody serves. */
  get missingBlocks(): readonly number[] {
    return this.model.swarm.discovery.unserved()
  }

  /** The tokens that servers can hold for all sessions together, at the block for which that is least. */
  get cacheTokens(): number {
    return Math.min(...this.#caches().map(({ total }) => total))
  }

  /** Which share of that is taken, at the block for which it is most: 0 to 1. */
  get cacheUsage(): number {
    return Math.max(...this.#caches().map(({ total, left }) => (total === 0 ? 0 : 1 - left / total)))
  }

  #caches(): { total: number; left: number }[] {
    const { numBlocks } = this.model.checkpoint.config
    const caches = Array.from({ length: numBlocks }, () => ({ total: 0, left: 0 }))
    for (const { start, end, cacheTokens, cacheTokensLeft } of this.model.swarm.records())
      for (const cache of caches.slice(start, end)) {
        cache.total += cacheTokens
        cache.left += cacheTokensLeft
      }
    return caches
  }

  /** Whether a request may call it so. */
  isCalled(name: string): boolean {
    return this.#names.has(name)
  }

  /** How its chats are printed. Throws an `ApiError` where it has no template. */
  get chat(): ServedChat {
    if (typeof this.#chat !== 'string') return this.#chat
    throw badRequest(`${this.id} cannot be chatted with: ${this.#chat}`, 'model', 'no_chat_template')
  }

  /** Throws an `ApiError` with status 503, naming the blocks, where nobody serves some. */
  requireServed(): void {
    const missing = this.missingBlocks
    if (missing.length === 0) return
    throw unavailable(
      `${this.id} cannot be computed just now: no server holds ${blocksText(missing)} of its ` +
        `${this.model.checkpoint.config.numBlocks} blocks`,
      'blocks_missing',
      RETRY_AFTER_SECONDS,
      { missing_blocks: missing },
    )
  }
}

function blocksText(blocks: readonly number[]): string {
  const spans: [number, number][] = []
  for (const block of blocks) {
    const last = spans.at(-1)
    if (last?.[1] === block) last[1] = block + 1
    else spans.push([block, block + 1])
  }
  return spans.map(([start, end]) => (end === start + 1 ? `block ${start}` : `blocks ${start}:${end}`)).join(', ')
}
