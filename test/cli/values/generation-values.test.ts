import assert from 'node:assert/strict'
import { test } from 'node:test'
import { toGenerationOptions } from '../../../src/cli/values/generation-values.ts'

const generation = { eosTokenIds: [], bosTokenId: null, maxPositions: 100, options: {} }
const NONE = { stop: [] } as unknown as Parameters<typeof toGenerationOptions>[0]

test('the default length of an answer is what room the prompt leaves, at most', () => {
  const prompts = [0, 36, 37, 92, 99, 100, 300]
  const lengths = prompts.map((prompt) => toGenerationOptions(NONE, generation, 64, prompt).maxNewTokens)
  assert.deepEqual(lengths, [64, 64, 63, 8, 1, 1, 1])
})

test('a length that is given stays as it is', () => {
  assert.equal(toGenerationOptions({ ...NONE, maxNewTokens: 64 }, generation, 20, 92).maxNewTokens, 64)
  const own = { ...generation, options: { maxNewTokens: 50 } }
  assert.equal(toGenerationOptions(NONE, own, 64, 92).maxNewTokens, undefined)
})
