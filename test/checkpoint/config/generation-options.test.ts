import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Fields } from '../../../src/checkpoint/config/fields.ts'
import { parseGenerationOptions } from '../../../src/checkpoint/config/generation-options.ts'

const FILE = '/m/generation_config.json'

const parse = (json: Record<string, unknown>) => parseGenerationOptions(new Fields(json, FILE))

test('all keys of generation have their option', () => {
  assert.deepEqual(
    parse({
      do_sample: true,
      temperature: 0.6,
      top_k: 0,
      top_p: 0.9,
      min_p: 0.05,
      typical_p: 0.95,
      repetition_penalty: 1.1,
      no_repeat_ngram_size: 3,
      sequence_bias: [[[4, 5], -2.5]],
      bad_words_ids: [[1], [2, 3]],
      suppress_tokens: [7],
      begin_suppress_tokens: [8, 9],
      forced_bos_token_id: 0,
      forced_eos_token_id: 2,
      min_length: 3,
      min_new_tokens: 2,
      max_new_tokens: 50,
      max_length: 4096,
      max_time: 1.5,
      stop_strings: '\n\n',
      num_beams: 4,
      length_penalty: -1.2,
      early_stopping: 'never',
      num_return_sequences: 2,
    }),
    {
      doSample: true,
      temperature: 0.6,
      topK: 0,
      topP: 0.9,
      minP: 0.05,
      typicalP: 0.95,
      repetitionPenalty: 1.1,
      noRepeatNgramSize: 3,
      sequenceBias: [[[4, 5], -2.5]],
      badWordsIds: [[1], [2, 3]],
      suppressTokens: [7],
      beginSuppressTokens: [8, 9],
      forcedBosTokenId: 0,
      forcedEosTokenId: [2],
      minLength: 3,
      minNewTokens: 2,
      maxNewTokens: 50,
      maxLength: 4096,
      maxTimeMs: 1500,
      stopStrings: ['\n\n'],
      numBeams: 4,
      lengthPenalty: -1.2,
      earlyStopping: 'never',
      numReturnSequences: 2,
    },
  )
})

test('null is absent, and what is not about generation is passed over', () => {
  assert.deepEqual(
    parse({ temperature: null, top_k: null, bad_words_ids: null, transformers_version: '5', use_cache: 3, foo: {} }),
    {},
  )
})

test('a temperature of 0 is no sampling', () => {
  assert.deepEqual(parse({ do_sample: true, temperature: 0 }), { doSample: false })
})

const MALFORMED: [key: string, value: unknown][] = [
  ['do_sample', 'yes'],
  ['temperature', -1],
  ['temperature', '0.7'],
  ['top_k', -1],
  ['top_k', 1.5],
  ['top_p', 1.2],
  ['min_p', -0.1],
  ['typical_p', 0],
  ['repetition_penalty', 0],
  ['no_repeat_ngram_size', true],
  ['sequence_bias', [[4, -2.5]]],
  ['sequence_bias', [[[4], '1']]],
  ['bad_words_ids', [1, 2]],
  ['bad_words_ids', [[]]],
  ['suppress_tokens', ['a']],
  ['begin_suppress_tokens', [-1]],
  ['forced_bos_token_id', [1]],
  ['forced_eos_token_id', 'eos'],
  ['min_length', -1],
  ['max_new_tokens', 0],
  ['max_length', '20'],
  ['max_time', 0],
  ['stop_strings', ['']],
  ['stop_strings', 3],
  ['num_beams', 0],
  ['length_penalty', 'long'],
  ['early_stopping', 'soon'],
  ['num_return_sequences', 0.5],
]

for (const [key, value] of MALFORMED) {
  test(`${key} ${JSON.stringify(value)} is refused with the file, the key and the value`, () => {
    assert.throws(
      () => parse({ [key]: value }),
      (error: Error & { code: string }) =>
        error.code === 'CHECKPOINT_CONFIG' &&
        error.message.startsWith(`${FILE}: ${key} must be `) &&
        error.message.endsWith(`it is ${JSON.stringify(value)}`),
    )
  })
}
