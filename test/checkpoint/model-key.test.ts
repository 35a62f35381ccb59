import assert from 'node:assert/strict'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { openCheckpoint } from '../../src/checkpoint/checkpoint.ts'
import { modelKey } from '../../src/checkpoint/model-key.ts'
import type { Tensor } from '../../src/tensor/tensor.ts'
import { copyOfLlama, LLAMA_FIXTURE, tensorsOf, writeSafetensors } from './write.ts'

const SINGLE = 'model.safetensors'

async function keyOf(folder: string): Promise<string> {
  return modelKey(await openCheckpoint(folder))
}

async function editConfig(folder: string, edit: (config: Record<string, unknown>) => unknown): Promise<void> {
  const file = join(folder, 'config.json')
  await writeFile(file, JSON.stringify(edit(JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>)))
}

test('the key is a readable name and a fingerprint', async () => {
  assert.match(await keyOf(LLAMA_FIXTURE), /^llama-3x64-[0-9a-f]{16}$/)
})

test('the key does not change with the folder, the sharding, the dialect, "model." or stored buffers', async (t) => {
  const key = await keyOf(LLAMA_FIXTURE)
  const folder = await copyOfLlama(t)
  const tensors = await tensorsOf(folder)
  assert.equal(await keyOf(folder), key)

  await editConfig(folder, ({ rope_theta: theta, torch_dtype: dtype, ...rest }) => ({
    dtype,
    rope_parameters: { rope_type: 'default', rope_theta: theta },
    ...rest,
    transformers_version: '5.17.0',
  }))
  assert.equal(await keyOf(folder), key)

  const bare = Object.entries(tensors).map(([name, tensor]): [string, Tensor] => [name.replace(/^model\./, ''), tensor])
  await writeSafetensors(join(folder, SINGLE), Object.fromEntries(bare.toReversed()))
  assert.equal(await keyOf(folder), key)

  const norm = tensors['model.norm.weight']
  assert.ok(norm)
  await writeSafetensors(join(folder, SINGLE), { ...tensors, 'model.layers.0.self_attn.rotary_emb.inv_freq': norm })
  assert.equal(await keyOf(folder), key)

  await rm(join(folder, SINGLE))
  const names = Object.keys(tensors)
  const half = (odd: number) => Object.fromEntries(Object.entries(tensors).filter((_, i) => i % 2 === odd))
  await writeSafetensors(join(folder, '1.safetensors'), half(1))
  await writeSafetensors(join(folder, '0.safetensors'), half(0))
  const weightMap = Object.fromEntries(names.map((name, i) => [name, `${i % 2}.safetensors`]))
  await writeFile(join(folder, 'model.safetensors.index.json'), JSON.stringify({ weight_map: weightMap }))
  assert.equal(await keyOf(folder), key)
})

test('a tied head that is stored all the same does not change the key', async (t) => {
  const folder = await copyOfLlama(t)
  await editConfig(folder, (config) => ({ ...config, tie_word_embeddings: true }))
  const { 'lm_head.weight': _, ...tensors } = await tensorsOf(folder)
  await writeSafetensors(join(folder, SINGLE), { ...tensors, 'lm_head.weight': tensors['model.embed_tokens.weight']! })
  const key = await keyOf(folder)
  await writeSafetensors(join(folder, SINGLE), tensors)
  assert.equal(await keyOf(folder), key)
})

for (const name of ['model.norm.weight', 'model.embed_tokens.weight']) {
  test(`another ${name} is another key`, async (t) => {
    const folder = await copyOfLlama(t)
    const tensors = await tensorsOf(folder)
    const changed = tensors[name]
    assert.ok(changed)
    changed.data[5] = (changed.data[5] ?? 0) ^ 1
    await writeSafetensors(join(folder, SINGLE), tensors)
    assert.notEqual(await keyOf(folder), await keyOf(LLAMA_FIXTURE))
  })
}

test('another config or another set of tensors is another key', async (t) => {
  const folder = await copyOfLlama(t)
  await editConfig(folder, (config) => ({ ...config, rope_theta: 20_000 }))
  assert.notEqual(await keyOf(folder), await keyOf(LLAMA_FIXTURE))

  const other = await copyOfLlama(t)
  const { 'model.layers.2.mlp.up_proj.weight': _, ...tensors } = await tensorsOf(other)
  await writeSafetensors(join(other, SINGLE), tensors)
  assert.notEqual(await keyOf(other), await keyOf(LLAMA_FIXTURE))
})

test('without a final norm there is no key', async (t) => {
  const folder = await copyOfLlama(t)
  const { 'model.norm.weight': _, ...tensors } = await tensorsOf(folder)
  await writeSafetensors(join(folder, SINGLE), tensors)
  await assert.rejects(keyOf(folder), { code: 'CHECKPOINT_MISSING_TENSOR', message: /norm\.weight/ })
})

test('a prefix given by the user is the key; one that would break keys is refused', async () => {
  const checkpoint = await openCheckpoint(LLAMA_FIXTURE)
  assert.equal(await modelKey(checkpoint, 'my-swarm_2'), 'my-swarm_2')
  for (const prefix of ['', 'a.b', 'a b', 'a/b', 'a\n']) {
    await assert.rejects(modelKey(checkpoint, prefix), { name: 'UsageError', message: /DHT prefix/ })
  }
})
