import { extname } from 'node:path'
import { PetalsError, UsageError } from '../../../base/errors.ts'
import type { Checkpoint } from '../../../checkpoint/checkpoint.ts'
import { compileTemplate } from '../../chat/jinja-template.ts'
import type { ChatTemplate } from '../../chat/messages.ts'
import { findTemplate } from '../../chat/template-source.ts'
import { type Dataset, DatasetError, type Example, digestOf } from './dataset.ts'
import { type DataTokenizer, type Learned, encodeCompletion, exampleOf, slidingWindows, windowsOf } from './encode.ts'
import { encodeChat } from './encode-chat.ts'
import { type PlacedLabel, resolveLabels } from './labels.ts'
import { readJsonLines } from './read-jsonl.ts'
import { readText } from './read-text.ts'
import { type DataRecord, parseRecord, refused } from './records.ts'

/** The part of a model that data are prepared for. */
export interface DataModel {
  readonly checkpoint: Pick<Checkpoint, 'folder' | 'generation' | 'config'>
  readonly tokenizer: DataTokenizer | undefined
}

/**
 * What data come from: a `.jsonl` or `.txt` file; a list of texts, id lists and records as the lines of a `.jsonl` file
 * have them; or one running text.
 */
export type DataSource = string | readonly unknown[] | { readonly text: string }

/** How data are prepared. */
export interface DataOptions {
  /** The positions of one sequence, each with a target; 256 by default, or what the model takes. */
  readonly maxTokens?: number | undefined
  /** The names of labels, by their numbers; by default the texts that occur, in alphabetical order. */
  readonly labels?: readonly string[] | undefined
  /** The chat template: `model` (by default), `chatml`, `plain` or a file. */
  readonly template?: string | undefined
  /**
   * For evaluation: texts are cut into windows of `maxTokens` ids that begin so many ids after one another, and no id
   * counts twice; running text is encoded with special tokens then.
   */
  readonly stride?: number | undefined
}

const MAX_TOKENS = 256

/** An example, or a whole text of several; undefined where nothing is left to learn. */
interface Encoded {
  readonly where: string
  readonly examples: readonly Example[]
  readonly isCut: boolean
  readonly label?: PlacedLabel | undefined
}

/**
 * Reads data and encodes them for a model.
 *
 * - Running text (`.txt`) is cut into windows of `maxTokens` positions, each with the next id as its target; it is
 *   encoded without special tokens.
 * - `text` is learned whole, in windows where it is longer; `completion` behind its `prompt`, with the model's end of
 *   text; of `messages` what the assistant said, as the model's chat template prints it.
 * - With `label` a text is to be classified.
 *
 * Throws `DATASET_FILE`, `DATASET_RECORD` (naming file and line), `USAGE`, `CHAT_TEMPLATE`, `TOKEN_ID`.
 */
export async function loadDataset(model: DataModel, source: DataSource, options: DataOptions = {}): Promise<Dataset> {
  const { maxLength } = model.checkpoint.config
  const { maxTokens = Math.min(MAX_TOKENS, maxLength) } = options
  if (!Number.isInteger(maxTokens) || maxTokens < 1 || maxTokens > maxLength)
    throw new UsageError(`maxTokens is ${maxTokens}: this model takes 1 to ${maxLength}`)
  if (source === null || (typeof source !== 'object' && typeof source !== 'string'))
    throw new UsageError(`data ${String(source)}: expected the name of a file, a list, or { text }`)
  const encoder = new Encoder(model, { ...options, maxTokens })
  if (typeof source === 'object' && 'text' in source)
    return encoder.dataset('the text', [await encoder.running(source)])
  if (typeof source !== 'string') return encoder.dataset('the list', await encoder.records(itemsOf(source)))
  switch (extname(source).toLowerCase()) {
    case '.jsonl':
      return encoder.dataset(source, await encoder.records(readJsonLines(source)))
    case '.txt':
      return encoder.dataset(source, [await encoder.running({ text: await readText(source) })])
    default:
      throw new DatasetError('DATASET_FILE', `${source}: expected a .jsonl file (a record a line) or a .txt file`)
  }
}

function* itemsOf(items: readonly unknown[]): Generator<{ where: string; value: unknown }> {
  for (const [i, value] of items.entries()) yield { where: `item ${i}`, value }
}

class Encoder {
  readonly #model: DataModel
  readonly #options: DataOptions & { readonly maxTokens: number }
  readonly #eosId: number | undefined
  #template: ChatTemplate | undefined

  constructor(model: DataModel, options: DataOptions & { readonly maxTokens: number }) {
    this.#model = model
    this.#options = options
    this.#eosId = model.checkpoint.generation.eosTokenIds[0]
  }

  async records(lines: AsyncIterable<{ where: string; value: unknown }> | Iterable<{ where: string; value: unknown }>) {
    const encoded: Encoded[] = []
    let first: DataRecord['kind'] | undefined
    for await (const { where, value } of lines) {
      const record = parseRecord(value, where)
      first ??= record.kind
      if ((record.kind === 'labelled') !== (first === 'labelled'))
        throw refused(where, `it has ${record.kind === 'labelled' ? 'a' : 'no'} label`, 'all records must be alike')
      encoded.push(await this.#encode(record, where))
    }
    return encoded
  }

  async running({ text }: { readonly text: string }): Promise<Encoded> {
    const addSpecialTokens = this.#options.stride !== undefined
    const ids = await this.#tokenizer('a text').encode(text, { addSpecialTokens })
    return { where: 'the text', examples: await this.#windows(ids, false), isCut: false }
  }

  async dataset(name: string, encoded: readonly Encoded[]): Promise<Dataset> {
    const placed = encoded.flatMap(({ label }) => label ?? [])
    const { labels, names } = resolveLabels(placed, this.#options.labels)
    const isLabelled = placed.length > 0
    const examples = isLabelled
      ? encoded.map(({ examples: [example] }, i) => ({ ...example!, label: labels[i] }))
      : encoded.flatMap((each) => each.examples)
    if (examples.length === 0)
      throw new DatasetError('DATASET_FILE', `${name} holds nothing to learn: it needs sequences of two tokens or more`)
    return {
      name,
      examples,
      isLabelled,
      ...(isLabelled && names !== undefined && { labels: names }),
      numCut: encoded.filter(({ isCut }) => isCut).length,
      numDropped: encoded.filter((each) => each.examples.length === 0).length,
      digest: await digestOf(examples),
    }
  }

  #windows(ids: readonly number[], rest: boolean): Promise<Example[]> {
    const { maxTokens, stride } = this.#options
    return stride === undefined ? windowsOf(ids, maxTokens, rest) : slidingWindows(ids, maxTokens, stride)
  }

  async #encode(record: DataRecord, where: string): Promise<Encoded> {
    switch (record.kind) {
      case 'text':
        return { where, examples: await this.#windows(await this.#ids(record.text, where), true), isCut: false }
      case 'ids':
        return { where, examples: await this.#windows(await this.#ids(record.ids, where), true), isCut: false }
      case 'completion':
        return this.#cut([await encodeCompletion(this.#tokenizer(where), record, this.#eosId)], where)
      case 'chat':
        return this.#cut(await this.#chat(record, where), where)
      case 'labelled':
        return this.#labelled(record, where)
    }
  }

  #cut(texts: readonly Learned[], where: string): Encoded {
    const { maxTokens } = this.#options
    const examples = texts.flatMap((text) => exampleOf(text, maxTokens) ?? [])
    return { where, examples, isCut: texts.some(({ ids }) => ids.length > maxTokens + 1) }
  }

  async #chat({ messages }: DataRecord & { kind: 'chat' }, where: string): Promise<Learned[]> {
    const { checkpoint } = this.#model
    const tokenizer = this.#tokenizer(where)
    this.#template ??= compileTemplate(await findTemplate(checkpoint.folder, this.#options.template ?? 'model'))
    try {
      return await encodeChat(
        { template: this.#template, tokenizer, endIds: checkpoint.generation.eosTokenIds },
        messages,
      )
    } catch (error) {
      if (error instanceof PetalsError && error.code === 'CHAT_TEMPLATE')
        throw refused(where, error.message, 'change these messages')
      throw error
    }
  }

  async #labelled({ text, label }: DataRecord & { kind: 'labelled' }, where: string): Promise<Encoded> {
    const ids = await this.#ids(text, where)
    if (ids.length === 0) throw refused(where, 'the text has no tokens', 'take the record out')
    const kept = Int32Array.from(ids.slice(0, this.#options.maxTokens))
    const example = { ids: kept, weights: new Float32Array(kept.length) }
    return { where, examples: [example], isCut: ids.length > kept.length, label: { where, label } }
  }

  async #ids(text: string | readonly number[], where: string): Promise<readonly number[]> {
    if (typeof text === 'string') return this.#tokenizer(where).encode(text)
    const { vocabSize } = this.#model.checkpoint.config
    const bad = text.find((id) => id >= vocabSize)
    if (bad !== undefined) throw refused(where, `token id ${bad}`, `this model knows ids 0 to ${vocabSize - 1}`)
    return text
  }

  #tokenizer(where: string): DataTokenizer {
    if (this.#model.tokenizer !== undefined) return this.#model.tokenizer
    throw refused(where, `${this.#model.checkpoint.folder} has no tokenizer.json`, 'give token ids in place of texts')
  }
}
