import { join } from 'node:path'
import { isJsonObject, type JsonObject, readJsonObjectSync } from '../files/json.ts'
import {
  type AddedToken,
  bad,
  plainToken,
  readToken,
  readTokenSource,
  textOf,
  type TokenSource,
} from './added-token.ts'

/** What the files beside tokenizer.json say of tokens, as transformers 5 takes them. */
export interface TokenFiles {
  /** Special tokens by their names: `bos_token` and the like. */
  readonly named: ReadonlyMap<string, TokenSource>
  /** Further special tokens. */
  readonly extra: readonly TokenSource[]
  /** Tokens by the ids that they had when they were saved. */
  readonly added: ReadonlyMap<number, AddedToken>
  /** Whether tokenizer.json's own tokens count as listed among these, and so become special where they are named. */
  readonly withOwn: boolean
}

/** Names that every tokenizer knows, in the order in which their tokens get ids. */
const NAMES = ['bos_token', 'eos_token', 'unk_token', 'sep_token', 'pad_token', 'cls_token', 'mask_token']

const CONFIG = 'tokenizer_config.json'

/**
 * Reads tokenizer_config.json and, where it has no `added_tokens_decoder`, special_tokens_map.json and
 * added_tokens.json; all may be absent. Synchronous. Throws `CHECKPOINT_FORMAT`, naming file and value.
 */
export function readTokenFiles(folder: string): TokenFiles {
  const file = join(folder, CONFIG)
  const config = readOptional(file)
  const specials = new Specials(config, file)
  const decoder = config['added_tokens_decoder'] ?? undefined
  if (decoder !== undefined)
    return { ...specials.found(), added: readDecoder(decoder, `${file}: added_tokens_decoder`), withOwn: false }
  specials.merge(readOptional(join(folder, 'special_tokens_map.json')), join(folder, 'special_tokens_map.json'))
  return { ...specials.found(), added: readEncoder(join(folder, 'added_tokens.json'), specials.texts()), withOwn: true }
}

/** The texts of `bos_token` and the like, for chat templates. Throws as `readTokenFiles`. */
export function namedTokens(folder: string): Record<string, string> {
  return Object.fromEntries([...readTokenFiles(folder).named].map(([name, token]) => [name, textOf(token)]))
}

/** Gathers special tokens from one file after the other; a later one replaces an earlier. */
class Specials {
  readonly #named = new Map<string, TokenSource>()
  #extra: readonly TokenSource[]
  #older: readonly TokenSource[] = []

  constructor(config: JsonObject, file: string) {
    const extra = config['extra_special_tokens'] ?? config['additional_special_tokens'] ?? []
    for (const name of NAMES) this.#set(name, config[name], file)
    for (const [name, value] of Object.entries(config))
      if (isModelToken(name) && (typeof value === 'string' || isJsonObject(value))) this.#set(name, value, file)
    this.#extra = Array.isArray(extra) ? this.#list(extra, `${file}: extra_special_tokens`) : []
    if (!Array.isArray(extra)) this.#nameAll(extra, `${file}: extra_special_tokens`)
  }

  merge(map: JsonObject, file: string): void {
    for (const [name, value] of Object.entries(map)) {
      const where = `${file}: ${name}`
      if (name === 'additional_special_tokens') this.#older = this.#list(value, where)
      else if (name !== 'extra_special_tokens') this.#set(name, value, file, true)
      else if (Array.isArray(value)) this.#extra = [...this.#extra, ...this.#list(value, where)]
      else this.#nameAll(value, where)
    }
  }

  found(): Pick<TokenFiles, 'named' | 'extra'> {
    const others = [...this.#named.keys()].filter((name) => !NAMES.includes(name))
    const named = [...NAMES, ...others].flatMap((name) => {
      const token = this.#named.get(name)
      return token === undefined ? [] : [[name, token] as const]
    })
    return { named: new Map(named), extra: this.#extra.length > 0 ? this.#extra : this.#older }
  }

  /** Of the names that every tokenizer knows, and of the further ones. */
  texts(): Set<string> {
    const named = NAMES.flatMap((name) => this.#named.get(name) ?? [])
    return new Set([...named, ...this.#extra].map(textOf))
  }

  #set(name: string, value: unknown, file: string, special = false): void {
    if (value === undefined || value === null || !(NAMES.includes(name) || isModelToken(name))) return
    this.#named.set(name, readTokenSource(value, `${file}: ${name}`, special))
  }

  #list(value: unknown, where: string): TokenSource[] {
    if (value === undefined || value === null) return []
    if (!Array.isArray(value)) throw bad(where, 'must be a list of tokens', value)
    return value.map((each) => readTokenSource(each, where, true))
  }

  #nameAll(value: unknown, where: string): void {
    if (!isJsonObject(value)) throw bad(where, 'must be a list of tokens, or an object of named ones', value)
    for (const [name, each] of Object.entries(value)) this.#named.set(name, readTokenSource(each, where, true))
  }
}

/** Names of a model's own, e.g. `image_token`. */
function isModelToken(name: string): boolean {
  return name.endsWith('_token') && !NAMES.includes(name)
}

function readDecoder(decoder: unknown, where: string): Map<number, AddedToken> {
  if (!isJsonObject(decoder)) throw bad(where, 'must be an object', decoder)
  const tokens = Object.entries(decoder).map(([id, value]): [number, AddedToken] => {
    if (!/^\d{1,9}$/.test(id)) throw bad(where, 'must have ids as names', id)
    return [Number(id), readToken(value, `${where}: ${id}`)]
  })
  return new Map(tokens)
}

function readEncoder(file: string, special: ReadonlySet<string>): Map<number, AddedToken> {
  const tokens = Object.entries(readOptional(file)).map(([content, id]): [number, AddedToken] => {
    if (typeof id !== 'number' || !Number.isInteger(id) || id < 0) throw bad(`${file}: ${content}`, 'must be an id', id)
    return [id, plainToken(content, special.has(content))]
  })
  return new Map(tokens)
}

function readOptional(file: string): JsonObject {
  return readJsonObjectSync(file) ?? {}
}
