import { PetalsError } from '../../base/errors.ts'
import { SPECIAL_BYTE, type Vocabulary, createVocabulary } from '../../sampling/grammar/tokens/vocabulary.ts'
import { type JsonObject, isJsonObject } from '../files/json.ts'
import type { NumberedToken } from './add-tokens.ts'

/** What each token adds to a text, as bytes, by what tokenizer.json says of decoding. */
interface TokenDecoder {
  bytesOf(token: string): Uint8Array
  /** Whether the space that a text begins with is dropped. */
  readonly dropsFirstSpace: boolean
}

/**
 * The bytes of all tokens. `json` is tokenizer.json, `added` are its added tokens and those of other files. Throws
 * `CONSTRAINT_UNSUPPORTED` for a tokenizer whose tokens have no bytes of their own.
 */
export function readVocabulary(json: JsonObject, added: readonly NumberedToken[]): Vocabulary {
  const decoder = decoderOf(json)
  const tokens: Uint8Array[] = []
  const set = (id: number, bytes: Uint8Array): void => {
    while (tokens.length <= id) tokens.push(NO_BYTES)
    tokens[id] = bytes
  }
  const setText = (id: number, token: string): void => {
    const bytes = decoder.bytesOf(token)
    // A byte that no text has would look like a special token's.
    set(id, bytes.includes(SPECIAL_BYTE) ? NO_BYTES : bytes)
  }
  for (const [token, id] of modelTokens(json)) setText(id, token)
  for (const { content, id, special } of added) {
    if (special) set(id, Buffer.concat([Buffer.of(SPECIAL_BYTE), Buffer.from(content)]))
    else setText(id, content)
  }
  return createVocabulary(tokens, decoder.dropsFirstSpace)
}

const NO_BYTES = new Uint8Array(0)

function modelTokens({ model }: JsonObject): (readonly [token: string, id: number])[] {
  const vocab = isJsonObject(model) ? model['vocab'] : undefined
  if (Array.isArray(vocab)) return vocab.map((pair: readonly unknown[], id) => [String(pair[0]), id] as const)
  return Object.entries(vocab as Record<string, number>)
}

function decoderOf(json: JsonObject): TokenDecoder {
  const steps = stepsOf(json['decoder'])
  const types = steps.map(({ type }) => type)
  if (types.includes('ByteLevel')) return BYTE_LEVEL
  const spaces = steps.filter(({ type }) => type === 'Metaspace' || type === 'Replace')
  const unknown = types.find((type) => !PIECE_STEPS.has(String(type)))
  if (spaces.length === 0 || unknown !== undefined) throw unsupported(unknown ?? 'no known decoder')
  const hasByteTokens = types.includes('ByteFallback')
  return {
    dropsFirstSpace: steps.some(dropsFirstSpace),
    bytesOf(token) {
      const byte = hasByteTokens ? /^<0x([0-9A-Fa-f]{2})>$/.exec(token) : null
      if (byte !== null) return Uint8Array.of(Number.parseInt(byte[1]!, 16))
      return Buffer.from(spaces.reduce(replaced, token))
    },
  }
}

/** Steps of decoding that belong to pieces with a mark in place of spaces. */
const PIECE_STEPS: ReadonlySet<string> = new Set(['Metaspace', 'Replace', 'ByteFallback', 'Fuse', 'Strip'])

function stepsOf(decoder: unknown): readonly JsonObject[] {
  if (!isJsonObject(decoder)) return []
  if (decoder['type'] !== 'Sequence') return [decoder]
  return (Array.isArray(decoder['decoders']) ? decoder['decoders'] : []).flatMap(stepsOf)
}

function dropsFirstSpace(step: JsonObject): boolean {
  if (step['type'] === 'Strip') return step['content'] === ' ' && step['start'] === 1
  if (step['type'] !== 'Metaspace') return false
  return step['prepend_scheme'] === undefined ? step['add_prefix_space'] !== false : step['prepend_scheme'] !== 'never'
}

function replaced(token: string, { type, replacement, pattern, content }: JsonObject): string {
  if (type === 'Metaspace') return token.replaceAll(String(replacement ?? '▁'), ' ')
  const text = isJsonObject(pattern) ? pattern['String'] : undefined
  if (typeof text !== 'string') throw unsupported('Replace by a regular expression')
  return token.replaceAll(text, String(content ?? ''))
}

/** The characters that stand for bytes in a byte-level vocabulary, as GPT-2 has them. */
const BYTE_OF = byteLevelCharacters()

const BYTE_LEVEL: TokenDecoder = {
  dropsFirstSpace: false,
  bytesOf(token) {
    const bytes = [...token].map((character) => BYTE_OF.get(character))
    return bytes.includes(undefined) ? Buffer.from(token) : Uint8Array.from(bytes as number[])
  },
}

function byteLevelCharacters(): Map<string, number> {
  const characters = new Map<string, number>()
  let next = 0x100
  for (let byte = 0; byte < 256; byte++) characters.set(String.fromCharCode(isShown(byte) ? byte : next++), byte)
  return characters
}

/** Whether Latin-1 has a character for a byte that can be seen. */
function isShown(byte: number): boolean {
  return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff)
}

function unsupported(decoder: unknown): PetalsError {
  return new PetalsError(
    'CONSTRAINT_UNSUPPORTED',
    `decoder of tokenizer.json: ${String(decoder)}: constraints need tokens with bytes of their own, as those of ` +
      'byte-level BPE and SentencePiece have',
  )
}
