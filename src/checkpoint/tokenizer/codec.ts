import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Tokenizer } from '@huggingface/tokenizers'
import { errorMessage } from '../../base/errors.ts'
import { CheckpointError } from '../errors.ts'
import { isJsonObject, type JsonObject, parseJsonObject } from '../config/json.ts'

/** Turns text into token ids and back. Synchronous, and slow for long texts: for a worker thread. */
export interface Codec {
  /**
   * The text's token ids. With `addSpecialTokens`, those that the tokenizer's post-processor adds (e.g. a BOS) are
   * included.
   */
  encode(text: string, addSpecialTokens: boolean): number[]
  /** The ids' text. Ids that are no tokens are ignored. */
  decode(ids: readonly number[], skipSpecialTokens: boolean): string
}

const SUPPORTED_MODELS = ['BPE', 'Unigram', 'WordPiece']

/**
 * Loads tokenizer.json and, if it exists, tokenizer_config.json from a checkpoint's folder. Throws
 * `CHECKPOINT_MISSING_FILE`, or `CHECKPOINT_FORMAT` naming the part of the tokenizer that is not supported.
 */
export function loadCodec(folder: string): Codec {
  const file = join(folder, 'tokenizer.json')
  if (!existsSync(file)) {
    throw new CheckpointError(
      'CHECKPOINT_MISSING_FILE',
      `${folder} has no tokenizer.json; write one with save_pretrained of transformers' AutoTokenizer`,
    )
  }
  const json = withModelType(parseJsonObject(readFileSync(file, 'utf8'), file), file)
  const config = readConfig(join(folder, 'tokenizer_config.json'))
  try {
    return wrap(new Tokenizer(json, config), config.additional_special_tokens)
  } catch (error) {
    throw new CheckpointError('CHECKPOINT_FORMAT', `${file} is not supported: ${errorMessage(error)}`, error)
  }
}

/**
 * The tokenizer's JSON with the type of its model filled in. Without it the library guesses, and may encode wrongly
 * without an error.
 */
function withModelType(json: JsonObject, file: string): JsonObject {
  const { model } = json
  if (!isJsonObject(model)) throw new CheckpointError('CHECKPOINT_FORMAT', `${file} has no model`)
  // Old files leave the type of a BPE out; only a BPE has merges.
  const type = model['type'] ?? (Array.isArray(model['merges']) ? 'BPE' : undefined)
  if (typeof type !== 'string' || !SUPPORTED_MODELS.includes(type)) {
    throw new CheckpointError(
      'CHECKPOINT_FORMAT',
      `${file} holds a tokenizer model of type ${JSON.stringify(type)}; supported are ${SUPPORTED_MODELS.join(', ')}`,
    )
  }
  return { ...json, added_tokens: json['added_tokens'] ?? [], model: { ...model, type } }
}

interface LibraryConfig {
  readonly clean_up_tokenization_spaces: false
  readonly additional_special_tokens: readonly string[]
  readonly eos_token?: string
}

function readConfig(file: string): LibraryConfig {
  const json = existsSync(file) ? parseJsonObject(readFileSync(file, 'utf8'), file) : {}
  const special = json['additional_special_tokens']
  const eos = tokenText(json['eos_token'])
  return {
    // The library's own default is true, but transformers 5 never cleans up the output of a BPE.
    clean_up_tokenization_spaces: false,
    additional_special_tokens: Array.isArray(special)
      ? special.map(tokenText).filter((text) => text !== undefined)
      : [],
    ...(eos === undefined ? {} : { eos_token: eos }),
  }
}

/** A special token's text: it is written as text, or as an object with the text in `content`. */
function tokenText(token: unknown): string | undefined {
  const text = isJsonObject(token) ? token['content'] : token
  return typeof text === 'string' ? text : undefined
}

function wrap(tokenizer: Tokenizer, alsoSpecial: readonly string[]): Codec {
  const special = new Set<number>()
  for (const [id, token] of tokenizer.get_added_tokens_decoder()) {
    if (token.special || alsoSpecial.includes(token.content)) special.add(id)
  }
  return {
    encode: (text, addSpecialTokens) => tokenizer.encode(text, { add_special_tokens: addSpecialTokens }).ids,
    decode: (ids, skipSpecialTokens) => {
      const known = ids.filter(
        (id) => tokenizer.id_to_token(id) !== undefined && !(skipSpecialTokens && special.has(id)),
      )
      return known.length === 0 ? '' : tokenizer.decode(known, { skip_special_tokens: skipSpecialTokens })
    },
  }
}
