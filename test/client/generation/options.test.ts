import assert from 'node:assert/strict'
import { test } from 'node:test'
import { UsageError } from '../../../src/base/errors.ts'
import { type GenerationOptions, checkOptions } from '../../../src/client/generation/options.ts'

const GOOD: GenerationOptions[] = [
  { maxNewTokens: 1 },
  { maxNewTokens: 5, temperature: 0, topK: 0, topP: 1, seed: -3, eosTokenIds: [], stopStrings: [] },
  { maxNewTokens: 5, temperature: 1e-9, topK: 1, topP: 1e-9, seed: Number.MAX_SAFE_INTEGER, eosTokenIds: [0, 7],
    stopStrings: ['\n'], signal: AbortSignal.abort() },
  { maxNewTokens: 5, temperature: undefined, topK: undefined, topP: undefined, seed: undefined, eosTokenIds: undefined,
    stopStrings: undefined, signal: undefined },
]

for (const [i, options] of GOOD.entries()) test(`good options ${i} are accepted`, () => checkOptions(options))

const BAD: [option: string, value: unknown, shown: string][] = [
  ...[undefined, 0, -1, 1.5, NaN, Infinity].map((value) => ['maxNewTokens', value, String(value)] as [string, unknown, string]),
  ['maxNewTokens', '5', '\'5\''],
  ['maxNewTokens', null, 'null'],
  ['temperature', -0.1, '-0.1'],
  ['temperature', NaN, 'NaN'],
  ['temperature', Infinity, 'Infinity'],
  ['temperature', '0.7', '\'0.7\''],
  ['topK', -1, '-1'],
  ['topK', 2.5, '2.5'],
  ['topK', NaN, 'NaN'],
  ['topP', 0, '0'],
  ['topP', 1.01, '1.01'],
  ['topP', NaN, 'NaN'],
  ['topP', -0.5, '-0.5'],
  ['seed', 0.5, '0.5'],
  ['seed', 2 ** 53, '9007199254740992'],
  ['eosTokenIds', 2, '2'],
  ['eosTokenIds', [1, -2], '[ 1, -2 ]'],
  ['stopStrings', 'stop', '\'stop\''],
  ['stopStrings', ['a', ''], '[ \'a\', \'\' ]'],
  ['stopStrings', [1], '[ 1 ]'],
  ['signal', {}, '{}'],
]

for (const [option, value, shown] of BAD) {
  test(`${option} ${shown} is refused by name, with its value and what is accepted`, () => {
    const options = { maxNewTokens: 5, [option]: value } as unknown as GenerationOptions
    assert.throws(() => checkOptions(options), (error) => {
      assert.ok(error instanceof UsageError)
      assert.ok(error.message.startsWith(`${option} is ${shown}: give a`), error.message)
      return true
    })
  })
}

test('an option that does not exist is refused by name', () => {
  const options = { maxNewTokens: 5, temprature: 1 } as GenerationOptions
  assert.throws(() => checkOptions(options), { code: 'USAGE', message: /^temprature is no option .*temperature/ })
  const inherited = { maxNewTokens: 5, toString: 1 } as unknown as GenerationOptions
  assert.throws(() => checkOptions(inherited), { code: 'USAGE', message: /^toString is no option/ })
})
