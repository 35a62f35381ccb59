import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { UsageError } from '../../../src/base/errors.ts'
import { checkOptions } from '../../../src/sampling/options/check.ts'
import type { GenerationOptions } from '../../../src/sampling/options/options.ts'
import { OPTIONS, type Declared } from '../../../src/sampling/options/table.ts'

const GOOD: GenerationOptions[] = [
  { maxNewTokens: 1 },
  { maxNewTokens: 5, temperature: 0, topK: 0, topP: 1, seed: -3, eosTokenIds: [], stopStrings: [] },
  {
    maxNewTokens: 5,
    temperature: 1e-9,
    topK: 1,
    topP: 1e-9,
    seed: Number.MAX_SAFE_INTEGER,
    eosTokenIds: [0, 7],
    stopStrings: ['\n'],
    signal: AbortSignal.abort(),
  },
  {},
  {
    doSample: true,
    temperature: 1,
    topP: 0,
    minP: 1,
    typicalP: 1,
    repetitionPenalty: 0.5,
    presencePenalty: -2,
    frequencyPenalty: 2,
    noRepeatNgramSize: 0,
    logitBias: { 5: -100, 6: -Infinity },
    sequenceBias: [[[1, 2], 0.5]],
    badWordsIds: [[1], [2, 3]],
    suppressTokens: [],
    beginSuppressTokens: [4],
    forcedPrefixIds: [1, 2],
    forcedBosTokenId: 0,
    forcedEosTokenId: [1, 2],
    minLength: 0,
    minNewTokens: 2,
    maxLength: 9,
    maxTimeMs: 0.5,
    stoppingCriteria: [() => true],
    logitsProcessors: [() => {}],
    numBeams: 4,
    lengthPenalty: -1,
    earlyStopping: 'never',
    numReturnSequences: 2,
  },
  { doSample: false, temperature: 0, forcedEosTokenId: 3, earlyStopping: true, logitBias: {}, sequenceBias: [] },
  {
    maxNewTokens: 5,
    temperature: undefined,
    topK: undefined,
    topP: undefined,
    seed: undefined,
    eosTokenIds: undefined,
    stopStrings: undefined,
    signal: undefined,
  },
]

for (const [i, options] of GOOD.entries()) test(`good options ${i} are accepted`, () => checkOptions(options))

const BAD: [option: string, value: unknown, shown: string][] = [
  ...[0, -1, 1.5, NaN, Infinity].map((value) => ['maxNewTokens', value, String(value)] as [string, unknown, string]),
  ['maxNewTokens', '5', "'5'"],
  ['maxNewTokens', null, 'null'],
  ['temperature', -0.1, '-0.1'],
  ['temperature', NaN, 'NaN'],
  ['temperature', Infinity, 'Infinity'],
  ['temperature', '0.7', "'0.7'"],
  ['topK', -1, '-1'],
  ['topK', 2.5, '2.5'],
  ['topK', NaN, 'NaN'],
  ['topP', 1.01, '1.01'],
  ['topP', NaN, 'NaN'],
  ['topP', -0.5, '-0.5'],
  ['seed', 0.5, '0.5'],
  ['seed', 2 ** 53, '9007199254740992'],
  ['eosTokenIds', 2, '2'],
  ['eosTokenIds', [1, -2], '[ 1, -2 ]'],
  ['stopStrings', 'stop', "'stop'"],
  ['stopStrings', ['a', ''], "[ 'a', '' ]"],
  ['stopStrings', [1], '[ 1 ]'],
  ['signal', {}, '{}'],
  ['doSample', 1, '1'],
  ['minP', 1.1, '1.1'],
  ['typicalP', 0, '0'],
  ['repetitionPenalty', 0, '0'],
  ['presencePenalty', NaN, 'NaN'],
  ['frequencyPenalty', '1', "'1'"],
  ['noRepeatNgramSize', -1, '-1'],
  ['logitBias', [1], '[ 1 ]'],
  ['logitBias', { a: 1 }, '{ a: 1 }'],
  ['logitBias', { '-1': 1 }, "{ '-1': 1 }"],
  ['logitBias', { 1: Infinity }, "{ '1': Infinity }"],
  ['logitBias', { 1: NaN }, "{ '1': NaN }"],
  ['sequenceBias', [[[], 1]], '[ [ [], 1 ] ]'],
  ['sequenceBias', [[[1]]], '[ [ [Array] ] ]'],
  ['badWordsIds', [[]], '[ [] ]'],
  ['badWordsIds', [1], '[ 1 ]'],
  ['suppressTokens', 1, '1'],
  ['beginSuppressTokens', [0.5], '[ 0.5 ]'],
  ['forcedPrefixIds', ['a'], "[ 'a' ]"],
  ['forcedBosTokenId', [1], '[ 1 ]'],
  ['forcedEosTokenId', [], '[]'],
  ['minLength', -1, '-1'],
  ['minNewTokens', 1.5, '1.5'],
  ['maxLength', 0, '0'],
  ['maxTimeMs', 0, '0'],
  ['stoppingCriteria', () => true, '[Function (anonymous)]'],
  ['logitsProcessors', [1], '[ 1 ]'],
  ['numBeams', 0, '0'],
  ['lengthPenalty', Infinity, 'Infinity'],
  ['earlyStopping', 'soon', "'soon'"],
  ['numReturnSequences', 0, '0'],
]

for (const [option, value, shown] of BAD) {
  test(`${option} ${shown} is refused by name, with its value and what is accepted`, () => {
    const options = { maxNewTokens: 5, [option]: value } as unknown as GenerationOptions
    assert.throws(
      () => checkOptions(options),
      (error) => {
        assert.ok(error instanceof UsageError)
        assert.ok(error.message.startsWith(`${option} is ${shown}: give `), error.message)
        return true
      },
    )
  })
}

test('an option that does not exist is refused by name', () => {
  const options = { maxNewTokens: 5, temprature: 1 } as GenerationOptions
  assert.throws(() => checkOptions(options), { code: 'USAGE', message: /^temprature is no option .*temperature/ })
  const inherited = { maxNewTokens: 5, toString: 1 } as unknown as GenerationOptions
  assert.throws(() => checkOptions(inherited), { code: 'USAGE', message: /^toString is no option/ })
})

test('to draw and to be greedy at once is refused', () => {
  assert.throws(() => checkOptions({ doSample: true, temperature: 0 }), {
    code: 'USAGE',
    message: /^doSample is true and temperature 0/,
  })
})

test('docs/generation.md has a row for each option, with its name in transformers where it has one', async () => {
  const docs = await readFile(new URL('../../../docs/generation.md', import.meta.url), 'utf8')
  const rows = docs.split('\n').flatMap((line) => {
    const [, name, elsewhere] = /^\| `(\w+)` \|.*\| (?:`(\w+)`)?[^|]*\|$/.exec(line) ?? []
    return name === undefined ? [] : [[name, elsewhere]]
  })
  const options: Readonly<Record<string, Declared>> = OPTIONS
  const declared = Object.entries(options).map(([name, { file, transformers }]) => [name, file ?? transformers])
  assert.deepEqual(rows.sort(), declared.sort())
})
