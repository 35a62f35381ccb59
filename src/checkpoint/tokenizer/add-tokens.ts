import { isJsonObject, type JsonObject } from '../files/json.ts'
import { type AddedToken, bad, plainToken, readToken, textOf } from './added-token.ts'
import type { TokenFiles } from './special-tokens.ts'

/** A token with its id, as tokenizer.json lists it. */
export type NumberedToken = AddedToken & { readonly id: number }

/** The largest id that a token may have: far above any vocabulary. */
const MAX_ID = 2 ** 31 - 1

/**
 * All added tokens of a tokenizer: those of tokenizer.json, then those that only other files name, in the way and with
 * the ids that transformers 5 adds them. `json` is tokenizer.json, `file` names it. Throws `CHECKPOINT_FORMAT`.
 */
export function addTokens(json: JsonObject, file: string, files: TokenFiles): NumberedToken[] {
  const vocabulary = vocabularyOf(json, file)
  const own = readOwn(json, file)
  const tokens = new Map(own.map((token) => [token.content, token]))
  for (const token of missing(own, files)) {
    const before = tokens.get(token.content)
    if (token.content === '') continue
    const id = before?.id ?? vocabulary.idOf(token.content) ?? nextId(tokens.values(), vocabulary.size)
    // What was special once stays special.
    tokens.set(token.content, { ...token, special: token.special || before?.special === true, id })
  }
  return [...tokens.values()]
}

/** What is added to tokenizer.json's own tokens, in order. */
function missing(own: readonly NumberedToken[], { named, extra, added, withOwn }: TokenFiles): AddedToken[] {
  const listed = new Map<number, AddedToken>([
    ...added,
    ...(withOwn ? own.map((token) => [token.id, token] as const) : []),
  ])
  const tokens = [...listed].sort(([a], [b]) => a - b).map(([, token]) => token)
  const namedTexts = new Set([...named.values()].map(textOf))
  const seen = new Set([...own, ...tokens].map(({ content }) => content))
  // Of two with one text the latter counts.
  for (const token of [...named.values(), ...extra]) {
    if (!seen.has(textOf(token))) tokens.push(typeof token === 'string' ? plainToken(token, true) : token)
  }
  return tokens.map((token) => (namedTexts.has(token.content) ? { ...token, special: true } : token))
}

/** One more than the largest id of an added token, and none of the model's own. */
function nextId(tokens: Iterable<NumberedToken>, size: number): number {
  let next = size
  for (const { id } of tokens) next = Math.max(next, id + 1)
  return next
}

function readOwn(json: JsonObject, file: string): NumberedToken[] {
  const listed = json['added_tokens'] ?? []
  if (!Array.isArray(listed)) throw bad(`${file}: added_tokens`, 'must be a list', listed)
  return listed.map((value: unknown) => {
    const token = readToken(value, `${file}: added_tokens`)
    const id = isJsonObject(value) ? value['id'] : undefined
    if (!isId(id))
      throw bad(`${file}: added_tokens: ${token.content}: id`, `must be an integer from 0 to ${MAX_ID}`, id)
    return { ...token, id }
  })
}

interface Vocabulary {
  readonly size: number
  idOf(token: string): number | undefined
}

/** The tokens of the model itself: an object of ids, or a list of pairs of token and score. */
function vocabularyOf(json: JsonObject, file: string): Vocabulary {
  const { model } = json
  const vocab = isJsonObject(model) ? model['vocab'] : undefined
  if (Array.isArray(vocab)) {
    const ids = new Map(vocab.map((pair, id) => [Array.isArray(pair) ? (pair[0] as unknown) : pair, id]))
    return { size: vocab.length, idOf: (token) => ids.get(token) }
  }
  if (!isJsonObject(vocab)) throw bad(`${file}: model: vocab`, 'must be an object or a list', vocab)
  const idOf = (token: string) => {
    const id = Object.hasOwn(vocab, token) ? vocab[token] : undefined
    if (id !== undefined && !isId(id)) throw bad(`${file}: model: vocab: ${token}`, 'must be an id', id)
    return id
  }
  return { size: Object.keys(vocab).length, idOf }
}

function isId(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= MAX_ID
}
