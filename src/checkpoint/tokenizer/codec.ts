import { join } from 'node:path'
import { Tokenizer } from '@huggingface/tokenizers'
import { errorMessage } from '../../base/errors.ts'
import { CheckpointError } from '../files/errors.ts'
import { textOf } from './added-token.ts'
import { addTokens, type NumberedToken } from './add-tokens.ts'
import { readTokenFiles } from './special-tokens.ts'
import type { Vocabulary } from '../../sampling/grammar/tokens/vocabulary.ts'
import { readVocabulary } from './token-bytes.ts'
import { isJsonObject, type JsonObject, readJsonObjectSync } from '../files/json.ts'

/** Turns text into token ids and back. Synchronous, and slow for long texts: for a worker thread. */
export interface Codec {
  /**
   * The text's token ids. With `addSpecialTokens`, those that the tokenizer's post-processor adds (e.g. a BOS) are
   * included.
   */
  encode(text: string, addSpecialTokens: boolean): number[]
  /** The ids' text. Ids that are no tokens are ignored. */
  decode(ids: readonly number[], skipSpecialTokens: boolean): string
  /** The bytes of all tokens. Throws `CONSTRAINT_UNSUPPORTED` where tokens have none of their own. */
  vocabulary(): Vocabulary
}

const SUPPORTED_MODELS = ['BPE', 'Unigram', 'WordPiece']

/**
 * Loads tokenizer.json from a checkpoint's folder, with the tokens that only the files beside it name. Throws
 * `CHECKPOINT_MISSING_FILE`, or `CHECKPOINT_FORMAT` naming the part of the tokenizer that is not supported.
 */
export function loadCodec(folder: string): Codec {
  const file = join(folder, 'tokenizer.json')
  const own = readJsonObjectSync(file)
  if (own === undefined) {
    throw new CheckpointError(
      'CHECKPOINT_MISSING_FILE',
      `${folder} has no tokenizer.json; write one with save_pretrained of transformers' AutoTokenizer`,
    )
  }
  const json = withModelType(own, file)
  const files = readTokenFiles(folder)
  const tokens = addTokens(json, file, files)
  const eos = files.named.get('eos_token')
  const config = { ...LIBRARY_CONFIG, ...(eos !== undefined && { eos_token: textOf(eos) }) }
  try {
    return wrap(new Tokenizer({ ...json, added_tokens: tokens }, config), json, tokens)
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
  return { ...json, normalizer: json['normalizer'] ?? NO_NORMALIZER, model: { ...model, type } }
}

/** With it the library looks for normalised tokens after the others, as it should, also where nothing is normalised. */
const NO_NORMALIZER = { type: 'Sequence', normalizers: [] }

/** The library's own default is true, but transformers 5 never cleans up the output of a BPE. */
const LIBRARY_CONFIG = { clean_up_tokenization_spaces: false }

function wrap(tokenizer: Tokenizer, json: JsonObject, tokens: readonly NumberedToken[]): Codec {
  const special = new Set(tokens.filter((token) => token.special).map(({ id }) => id))
  return {
    encode: (text, addSpecialTokens) => tokenizer.encode(text, { add_special_tokens: addSpecialTokens }).ids,
    decode: (ids, skipSpecialTokens) => {
      const known = ids.filter(
        (id) => tokenizer.id_to_token(id) !== undefined && !(skipSpecialTokens && special.has(id)),
      )
      return known.length === 0 ? '' : tokenizer.decode(known, { skip_special_tokens: skipSpecialTokens })
    },
    vocabulary: () => readVocabulary(json, tokens),
  }
}
