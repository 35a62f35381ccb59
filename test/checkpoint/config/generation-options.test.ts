import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Fields } from '../../../src/checkpoint/config/fields.ts'
import { parseGenerationOptions } from '../../../src/checkpoint/config/generation-options.ts'

const FILE = '/m/generation_config.json'

const parseAll = (json: Record<string, unknown>) => parseGenerationOptions(new Fields(json, FILE))

function parse(json: Record<string, unknown>) {
  const { options, problems } = parseAll(json)
  assert.deepEqual(problems, [])
  return options
}

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

test('what other libraries write for "off" is off', () => {
  assert.deepEqual(parse({ top_k: -1, suppress_tokens: [-1] }), { topK: 0 })
  assert.deepEqual(
    parse({
      temperature: -1,
      top_p: -1,
      min_p: -1,
      typical_p: 0,
      repetition_penalty: 0,
      no_repeat_ngram_size: -1,
      sequence_bias: [],
      bad_words_ids: [[-1]],
      begin_suppress_tokens: -1,
      forced_bos_token_id: -1,
      forced_eos_token_id: [-1],
      min_length: -1,
      min_new_tokens: -1,
      max_new_tokens: 0,
      max_length: -1,
      max_time: 0,
      stop_strings: '',
      num_beams: 0,
      num_return_sequences: 0,
    }),
    {},
  )
  assert.deepEqual(parse({ top_p: 1.5, typical_p: 1.2 }), {})
  assert.deepEqual(parse({ do_sample: 1, early_stopping: 0 }), { doSample: true, earlyStopping: false })
  assert.deepEqual(parse({ do_sample: 'yes' }), { doSample: true })
  assert.deepEqual(parse({ do_sample: 0, temperature: 0 }), { doSample: false })
})

test('of a list only what names nothing is passed over', () => {
  assert.deepEqual(
    parse({
      suppress_tokens: [-1, 7],
      bad_words_ids: [[1], [2, -1]],
      stop_strings: ['', 'a'],
      sequence_bias: [
        [[4, -1], 1],
        [[4, 5], -2],
      ],
    }),
    { suppressTokens: [7], badWordsIds: [[1]], stopStrings: ['a'], sequenceBias: [[[4, 5], -2]] },
  )
})

const MALFORMED: [key: string, value: unknown][] = [
  ['do_sample', {}],
  ['early_stopping', 2],
  ['temperature', '0.7'],
  ['top_k', 1.5],
  ['min_p', 1.2],
  ['typical_p', '1'],
  ['repetition_penalty', [1]],
  ['no_repeat_ngram_size', true],
  ['sequence_bias', [[4, -2.5]]],
  ['sequence_bias', [[[4], '1']]],
  ['bad_words_ids', [1, 2]],
  ['bad_words_ids', [[]]],
  ['suppress_tokens', ['a']],
  ['forced_bos_token_id', [1]],
  ['forced_eos_token_id', 'eos'],
  ['max_length', '20'],
  ['stop_strings', 3],
  ['length_penalty', 'long'],
  ['early_stopping', 'soon'],
  ['num_return_sequences', 1.5],
]

for (const [key, value] of MALFORMED) {
  test(`${key} ${JSON.stringify(value)} is a problem with the file, the key and the value`, () => {
    const { options, problems } = parseAll({ [key]: value })
    assert.deepEqual(options, {})
    assert.equal(problems.length, 1)
    const { message } = problems[0]!
    assert.ok(
      message.startsWith(`${FILE}: ${key} must be `) && message.endsWith(`it is ${JSON.stringify(value)}`),
      message,
    )
  })
}
