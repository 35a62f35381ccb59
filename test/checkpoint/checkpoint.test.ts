import assert from 'node:assert/strict'
import { cp, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { test } from 'node:test'
import { type Checkpoint, openCheckpoint } from '../../src/checkpoint/checkpoint.ts'
import { counting, copyOfLlama, LLAMA_FIXTURE, temporaryFolder, writeSafetensors } from './write.ts'

const FIXTURES = join(import.meta.dirname, '../fixtures')

test('a checkpoint in the dialect of transformers 4 opens', async () => {
  const { folder, config, generation, tensors, hasTokenizer } = await openCheckpoint(LLAMA_FIXTURE)
  assert.equal(folder, LLAMA_FIXTURE)
  assert.equal(config.tiedEmbeddings, false)
  assert.equal(config.ropes[0]!.type, 'default')
  assert.deepEqual(generation, { eosTokenIds: [1], bosTokenId: 0, maxPositions: 128, options: {} })
  assert.equal(tensors.size, 30)
  assert.deepEqual(tensors.get('lm_head.weight')?.shape, [128, 64])
  assert.equal(hasTokenizer, false)
})

test('a checkpoint in the dialect of transformers 5 opens', async () => {
  const { config, tensors } = await openCheckpoint(join(FIXTURES, 'llama3-rope'))
  assert.equal(config.tiedEmbeddings, true)
  assert.equal(config.ropes[0]!.type, 'llama3')
  assert.equal(tensors.has('lm_head.weight'), false)
})

test('the demo model opens, with its tokenizer', async () => {
  const { config, hasTokenizer } = await openCheckpoint(join(import.meta.dirname, '../../models/demo'))
  assert.equal(config.dtype, 'bfloat16')
  assert.equal(config.numBlocks, 8)
  assert.equal(hasTokenizer, true)
})

test('a checkpoint can be posted to a worker', async () => {
  const checkpoint = await openCheckpoint(LLAMA_FIXTURE)
  assert.deepEqual(structuredClone(checkpoint), checkpoint)
})

test('of a GGUF file and of a file in general it is said what to name instead', async (t) => {
  const folder = await copyOfLlama(t)
  const gguf = join(folder, 'model-Q4_K.gguf')
  await writeFile(gguf, 'GGUF')
  await assert.rejects(openCheckpoint(gguf), { code: 'CHECKPOINT_FORMAT', message: /GGUF files are not read/ })
  await openCheckpoint(folder)
  await assert.rejects(openCheckpoint(join(folder, 'model.safetensors')), { message: /is a file: .* name \// })
  await rm(join(folder, 'config.json'))
  await assert.rejects(openCheckpoint(folder), { message: /holds model-Q4_K.gguf and no config.json: GGUF/ })
})

test('without a dtype in the config, the stored tensors say it', async (t) => {
  const folder = await copyOfLlama(t)
  const { raw } = (await openCheckpoint(folder)).config
  const half = { dtype: 'float16', shape: [1], data: new Uint8Array(2) } as const
  await writeSafetensors(join(folder, 'model.safetensors'), {
    positions: { ...half, dtype: 'int8', shape: [2] },
    a: half,
  })
  for (const said of [null, 'auto']) {
    await writeFile(join(folder, 'config.json'), JSON.stringify({ ...raw, torch_dtype: said }))
    assert.equal((await openCheckpoint(folder)).config.dtype, 'float16')
  }
})

const INDEX = 'model.safetensors.index.json'

/** The llama's config with two small shards. */
async function sharded(context: Parameters<typeof copyOfLlama>[0], weightMap: unknown): Promise<string> {
  const folder = await copyOfLlama(context)
  await rm(join(folder, 'model.safetensors'))
  await writeSafetensors(join(folder, 'one.safetensors'), { a: counting([2]), b: counting([3]) })
  await writeSafetensors(join(folder, 'two.safetensors'), { c: counting([4]) })
  await writeFile(join(folder, INDEX), JSON.stringify({ metadata: {}, weight_map: weightMap }))
  return folder
}

const WHOLE = { a: 'one.safetensors', b: 'one.safetensors', c: 'two.safetensors' }

test('shards give one map of tensors', async (t) => {
  const folder = await sharded(t, WHOLE)
  const { tensors } = await openCheckpoint(folder)
  const files = [...tensors].map(([name, slice]) => [name, basename(slice.file)])
  assert.deepEqual(Object.fromEntries(files), WHOLE)
})

test('a shard may be a link, as in a hub cache', async (t) => {
  const folder = await sharded(t, WHOLE)
  const blobs = await temporaryFolder(t)
  await rename(join(folder, 'two.safetensors'), join(blobs, 'blob'))
  await symlink(join(blobs, 'blob'), join(folder, 'two.safetensors'))
  assert.equal((await openCheckpoint(folder)).tensors.size, 3)
})

for (const name of [
  '../one.safetensors',
  '/etc/one.safetensors',
  'sub/one.safetensors',
  '..',
  '',
  'c:one.safetensors',
  '..\\one.safetensors',
  'passwd',
  'one.safetensors\0',
  7,
  null,
]) {
  test(`an index cannot name the shard ${JSON.stringify(name)}`, async (t) => {
    const folder = await sharded(t, { ...WHOLE, c: name })
    await assert.rejects(openCheckpoint(folder), { code: 'CHECKPOINT_INDEX', message: /tensor c into/ })
  })
}

test('an index that does not fit its shards is refused', async (t) => {
  const [norm, block] = ['model.norm.weight', 'model.layers.0.mlp.up_proj.weight']
  const astray = await sharded(t, { ...WHOLE, [norm]: 'two.safetensors', [block]: 'one.safetensors' })
  await assert.rejects(openCheckpoint(astray), {
    code: 'CHECKPOINT_INDEX',
    message: /2 tensors .*norm\.weight \(in two\.safetensors\), .*up_proj\.weight \(in one\.safetensors\)/,
  })
  const absent = await sharded(t, { ...WHOLE, [block]: 'three.safetensors' })
  await assert.rejects(openCheckpoint(absent), { code: 'CHECKPOINT_MISSING_FILE', message: /three\.safetensors/ })
  const twice = await sharded(t, WHOLE)
  await writeSafetensors(join(twice, 'one.safetensors'), { a: counting([2]), b: counting([2]), [norm]: counting([4]) })
  await writeSafetensors(join(twice, 'two.safetensors'), { c: counting([4]), [norm]: counting([4]) })
  await assert.rejects(openCheckpoint(twice), { code: 'CHECKPOINT_INDEX', message: /norm\.weight is stored twice/ })
  const empty = await sharded(t, undefined)
  await assert.rejects(openCheckpoint(empty), { code: 'CHECKPOINT_INDEX', message: /no weight_map/ })
})

test('an index may name tensors that nobody needs and no shard holds', async (t) => {
  const folder = await sharded(t, {
    ...WHOLE,
    b: 'two.safetensors',
    'vision_tower.patch.weight': 'three.safetensors',
    'model.layers.0.self_attn.rotary_emb.inv_freq': 'one.safetensors',
    'lm_head.weight': 'two.safetensors',
  })
  assert.deepEqual([...(await openCheckpoint(folder)).tensors.keys()].toSorted(), ['a', 'b', 'c'])
})

const BROKEN: [string, string, RegExp, (folder: string) => Promise<unknown>][] = [
  ['without config.json', 'CHECKPOINT_MISSING_FILE', /config\.json/, (folder) => rm(join(folder, 'config.json'))],
  [
    'without weights',
    'CHECKPOINT_MISSING_FILE',
    /neither model\.safetensors nor/,
    (folder) => rm(join(folder, 'model.safetensors')),
  ],
  [
    'with broken config.json',
    'CHECKPOINT_FORMAT',
    /config\.json is not valid JSON/,
    (folder) => writeFile(join(folder, 'config.json'), '{"a"'),
  ],
  [
    'with a list as config.json',
    'CHECKPOINT_FORMAT',
    /must hold a JSON object/,
    (folder) => writeFile(join(folder, 'config.json'), '[]'),
  ],
  [
    'with pickled weights only',
    'CHECKPOINT_FORMAT',
    /pytorch_model\.bin.*convert them to safetensors/,
    (folder) => rename(join(folder, 'model.safetensors'), join(folder, 'pytorch_model.bin')),
  ],
]

for (const [what, code, message, damage] of BROKEN) {
  test(`a folder ${what} is refused`, async (t) => {
    const folder = await copyOfLlama(t)
    await damage(folder)
    await assert.rejects(openCheckpoint(folder), { name: 'CheckpointError', code, message })
  })
}

test('a generation_config.json that cannot be read is passed over, with a note', async (t) => {
  for (const text of ['', '[]', '{"top_k": NaN}']) {
    const folder = await copyOfLlama(t)
    await writeFile(join(folder, 'generation_config.json'), text)
    const { generation, notes } = await openCheckpoint(folder)
    assert.deepEqual(generation.options, {})
    assert.match(notes.join(), /generation_config\.json .*(?:valid JSON|JSON object).*not used/)
  }
})

test('a folder that is missing or a file is refused', async (t) => {
  const folder = await temporaryFolder(t)
  await assert.rejects(openCheckpoint(join(folder, 'none')), { code: 'CHECKPOINT_MISSING_FILE' })
  await writeFile(join(folder, 'file'), '')
  await assert.rejects(openCheckpoint(join(folder, 'file')), { code: 'CHECKPOINT_FORMAT' })
})

test('a relative folder is made absolute', async (t) => {
  const folder = await temporaryFolder(t)
  await cp(LLAMA_FIXTURE, folder, { recursive: true })
  const { folder: opened, tensors }: Checkpoint = await openCheckpoint(join(folder, 'x', '..'))
  assert.equal(opened, folder)
  assert.equal(tensors.get('model.norm.weight')?.file, join(folder, 'model.safetensors'))
})
