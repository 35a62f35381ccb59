import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openCheckpoint } from '../../../../src/checkpoint/checkpoint.ts'
import { newScore } from '../../../../src/client/training/methods/classifier-head.ts'
import { adapterNow, newLora } from '../../../../src/client/training/methods/lora.ts'
import { newPrompts } from '../../../../src/client/training/methods/prompts.ts'
import { fitAdapter } from '../../../../src/families/graphs/fit-adapter.ts'

const { config } = await openCheckpoint(new URL('../../../fixtures/llama', import.meta.url).pathname)

function deviation(values: Float32Array): number {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  assert.ok(Math.abs(mean) < 3e-3)
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length)
}

test('prompts begin as in Petals: drawn with deviation 0.02 before the text, zero inside of the blocks', async () => {
  const prompts = (seed: number) => newPrompts(config, { preSeqLen: 40, isDeep: true, seed })
  const { before, deep } = await prompts(1)
  assert.ok(Math.abs(deviation(before.values) - 0.02) < 1e-3)
  assert.ok(deep!.values.every((value) => value === 0))
  assert.deepEqual(deep!.shape, [config.numBlocks, 40, config.hiddenSize])
  assert.deepEqual((await prompts(1)).before.values, before.values)
  assert.notDeepEqual((await prompts(2)).before.values, before.values)
  for (const preSeqLen of [0, 1.5, config.maxLength])
    await assert.rejects(newPrompts(config, { preSeqLen, isDeep: false, seed: 1 }), { code: 'USAGE' })
})

test('an adapter begins as in PEFT: A even up to 1 / sqrt(in), B zero, on linear layers', async () => {
  const lora = await newLora(config, { rank: 4, alpha: 8, seed: 1 })
  assert.equal(lora.modules.length, 7 * config.numBlocks)
  for (const { a, b } of lora.modules) {
    const bound = 1 / Math.sqrt(a.shape[1]!)
    assert.ok(a.values.every((value) => Math.abs(value) <= bound))
    assert.ok(Math.max(...a.values) > 0.9 * bound && Math.min(...a.values) < -0.9 * bound)
    assert.ok(b.values.every((value) => value === 0))
  }
  assert.notDeepEqual(lora.modules[0]!.a.values, lora.modules[1]!.a.values)
  const fitted = fitAdapter(await adapterNow(lora, 'mine'), config)
  assert.deepEqual([fitted.rank, fitted.modules[0]!.scaling], [4, 2])
  const some = await newLora(config, { rank: 4, alpha: 8, seed: 1, targetModules: ['q_proj', 'mlp.up_proj'] })
  assert.deepEqual(
    some.modules.map(({ name }) => name.split('.').at(-1)),
    Array.from({ length: config.numBlocks }, () => ['q_proj', 'up_proj']).flat(),
  )
  const bad = [{ rank: 0 }, { alpha: 0 }, { targetModules: [] }, { targetModules: ['proj'] }]
  for (const options of bad)
    await assert.rejects(newLora(config, { rank: 4, alpha: 8, seed: 1, ...options }), { code: 'USAGE' })
})

test("a classifier's head begins as in transformers, with the config's range", async () => {
  const drawn = await newScore({ ...config, raw: { initializer_range: 0.5 } }, 200, 1)
  assert.equal(drawn.length, 200 * config.hiddenSize)
  assert.ok(Math.abs(Math.sqrt(drawn.reduce((sum, x) => sum + x * x, 0) / drawn.length) - 0.5) < 0.02)
  assert.ok(Math.abs(deviation(await newScore({ ...config, raw: {} }, 200, 1)) - 0.02) < 1e-3)
  await assert.rejects(newScore(config, 0, 1), { code: 'USAGE' })
})
