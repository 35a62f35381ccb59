import { CheckpointError } from '../files/errors.ts'
import { isJsonObject, type JsonObject } from '../files/json.ts'

/** A token that is looked for in a text before it is cut up, as tokenizer.json describes one. */
export interface AddedToken {
  readonly content: string
  readonly single_word: boolean
  readonly lstrip: boolean
  readonly rstrip: boolean
  readonly normalized: boolean
  readonly special: boolean
}

/** A special token as the files name one: its text, or all about it. */
export type TokenSource = string | AddedToken

const FLAGS = ['single_word', 'lstrip', 'rstrip', 'normalized', 'special'] as const

/** A token of whose nature only the text is known. Special tokens are not normalised, others are. */
export function plainToken(content: string, special: boolean): AddedToken {
  return { content, single_word: false, lstrip: false, rstrip: false, normalized: !special, special }
}

/**
 * Reads a token that is described by an object; `where` names it in messages. Throws `CHECKPOINT_FORMAT`, naming the
 * value.
 */
export function readToken(value: unknown, where: string, special = false): AddedToken {
  if (!isJsonObject(value)) throw bad(where, 'must be an object', value)
  const { content } = value
  if (typeof content !== 'string') throw bad(`${where}: content`, 'must be a text', content)
  const isSpecial = readFlag(value, 'special', where) ?? special
  const given = FLAGS.flatMap((flag) => {
    const set = readFlag(value, flag, where)
    return set === undefined ? [] : [[flag, set] as const]
  })
  return { ...plainToken(content, isSpecial), ...Object.fromEntries(given) }
}

/** As `readToken`, for a token that may be its text alone. */
export function readTokenSource(value: unknown, where: string, special = false): TokenSource {
  if (typeof value === 'string') return value
  if (!isJsonObject(value)) throw bad(where, 'must be a text or an object', value)
  return readToken(value, where, special)
}

/** The text of a token, which is given as such or in an object. */
export function textOf(token: TokenSource): string {
  return typeof token === 'string' ? token : token.content
}

/** The error of a tokenizer's file; names the value. */
export function bad(where: string, problem: string, value: unknown): CheckpointError {
  const shown = value === undefined ? 'missing' : JSON.stringify(value).slice(0, 80)
  return new CheckpointError('CHECKPOINT_FORMAT', `${where} ${problem}; it is ${shown}`)
}

function readFlag(values: JsonObject, flag: string, where: string): boolean | undefined {
  const value = values[flag] ?? undefined
  if (value === undefined || typeof value === 'boolean') return value
  throw bad(`${where}: ${flag}`, 'must be true or false', value)
}
