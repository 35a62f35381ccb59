import assert from 'node:assert/strict'
import { readFile, readlink, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { modelKey } from '../../src/checkpoint/model-key.ts'
import { fetchTensors } from '../../src/checkpoint/hub/download/fetch-tensors.ts'
import { openModel } from '../../src/checkpoint/open-model.ts'
import { openCheckpoint } from '../../src/checkpoint/checkpoint.ts'
import { LLAMA_FIXTURE, temporaryFolder } from './write.ts'
import { bytesOf, bytesOnHub, filesBelow, freshSettings, modelFiles, readText, TINY } from './hub/kit.ts'
import { COMMIT, gitId, REPO, StandInHub } from './hub/server.ts'

const FILES = modelFiles(TINY)
const SHARDS = [...FILES.keys()].filter((name) => name.endsWith('.safetensors'))
const HEADER_READ = 32 << 10

test('a folder opens as ever, and fetching from it does nothing', async () => {
  const checkpoint = await openModel(LLAMA_FIXTURE)
  assert.deepEqual(checkpoint, await openCheckpoint(LLAMA_FIXTURE))
  assert.equal(await fetchTensors(checkpoint, ['lm_head.weight']), checkpoint)
})

test('of a model of the hub the small files and the headers come, in the layout of huggingface_hub', async (t) => {
  const hub = await StandInHub.start(t, FILES)
  const settings = await freshSettings(t, hub)
  const checkpoint = await openModel(REPO, { settings })
  assert.equal(checkpoint.config.numBlocks, 20)
  assert.equal(checkpoint.tensors.size, 3 + 20 * 9)
  assert.equal(checkpoint.hasTokenizer, false)
  assert.deepEqual(structuredClone(checkpoint), checkpoint)

  const folder = join(settings.cacheFolder, 'models--tiny--llama')
  assert.equal(await readText(folder, 'refs/main'), COMMIT)
  assert.equal(checkpoint.folder, join(folder, 'snapshots', COMMIT))
  for (const name of [
    'config.json',
    'generation_config.json',
    'tokenizer_config.json',
    'model.safetensors.index.json',
  ]) {
    const content = FILES.get(name)!
    assert.equal(await readlink(join(checkpoint.folder, name)), join('../../blobs', gitId(content)))
    assert.equal(await readText(checkpoint.folder, name), content.toString())
  }
  assert.deepEqual(
    [...(await filesBelow(folder)).keys()].filter((name) => /incomplete|safetensors$|README/.test(name)),
    [],
  )
  assert.ok(hub.sent(/safetensors$/) <= SHARDS.length * HEADER_READ)
})

test('a second start asks for nothing but the commit, one of a commit for nothing', async (t) => {
  const hub = await StandInHub.start(t, FILES)
  const settings = await freshSettings(t, hub)
  const first = await openModel(REPO, { settings })
  hub.forget()
  const second = await openModel(REPO, { settings })
  assert.deepEqual(second, first)
  assert.deepEqual(
    hub.log.map(({ path }) => path),
    ['/api/models/tiny/llama/revision/main'],
  )
  hub.forget()
  const pinned = await openModel(`${REPO}@${COMMIT}`, { settings })
  assert.deepEqual(pinned.tensors, first.tensors)
  assert.deepEqual(hub.log, [])
})

test('whether a tied head is the embedding is known from its first rows, where it is not', async (t) => {
  const config = JSON.stringify({
    ...(JSON.parse(FILES.get('config.json')!.toString()) as object),
    tie_word_embeddings: true,
  })
  const hub = await StandInHub.start(t, new Map([...FILES, ['config.json', Buffer.from(config)]]))
  const checkpoint = await openModel(REPO, { settings: await freshSettings(t, hub) })
  assert.equal(checkpoint.config.tiedEmbeddings, false)
  assert.ok(hub.sent(/safetensors$/) < SHARDS.length * HEADER_READ + 2 * 64 * TINY.hiddenSize * 4 + 1)
})

test('the model key takes a few rows, not the embedding, and is that of the folder', async (t) => {
  const hub = await StandInHub.start(t, FILES)
  const settings = await freshSettings(t, hub)
  const checkpoint = await openModel(REPO, { settings })
  hub.forget()
  const key = await modelKey(checkpoint)
  assert.ok(hub.sent(/safetensors$/) > 0)
  assert.ok(hub.sent(/safetensors$/) <= 64 * TINY.hiddenSize * 2 + TINY.hiddenSize * 2)
  hub.forget()
  assert.equal(await modelKey(checkpoint), key)
  assert.deepEqual(hub.log, [])

  const folder = await temporaryFolder(t)
  for (const [name, content] of FILES) await writeFile(join(folder, name), content)
  assert.equal(await modelKey(await openCheckpoint(folder)), key)
})

test('a whole shard in the standard cache is used as it is', async (t) => {
  const hub = await StandInHub.start(t, FILES)
  const settings = await freshSettings(t, hub)
  const { folder } = await openModel(REPO, { settings })
  await writeFile(join(folder, SHARDS[0]!), FILES.get(SHARDS[0]!)!)
  await rm(settings.partsFolder, { recursive: true })
  hub.forget()
  const checkpoint = await openModel(REPO, { settings })
  const fetched = await fetchTensors(checkpoint, ['lm_head.weight'])
  assert.equal(hub.sent(new RegExp(SHARDS[0]!)), 0)
  assert.deepEqual(bytesOf(fetched, 'lm_head.weight'), bytesOnHub(hub, 'lm_head.weight'))
})

test('offline everything that is here works, by branch and by commit', async (t) => {
  const hub = await StandInHub.start(t, FILES)
  const settings = await freshSettings(t, hub)
  const online = await openModel(`${REPO}@v1`, { settings })
  const key = await modelKey(online)
  await fetchTensors(online, ['lm_head.weight'])
  hub.forget()
  const offline = { ...settings, offline: true }
  for (const revision of ['v1', COMMIT]) {
    const checkpoint = await openModel(`${REPO}@${revision}`, { settings: offline })
    assert.equal(await modelKey(checkpoint), key)
    const fetched = await fetchTensors(checkpoint, ['lm_head.weight'])
    assert.deepEqual(bytesOf(fetched, 'lm_head.weight'), bytesOnHub(hub, 'lm_head.weight'))
  }
  assert.deepEqual(hub.log, [])
})

test('a hub that cannot be reached is as good as offline where all is here', async (t) => {
  const hub = await StandInHub.start(t, FILES)
  const settings = await freshSettings(t, hub)
  const first = await openModel(REPO, { settings })
  for (const behaviour of [{ unavailable: 1000 }, { silent: true }]) {
    Object.assign(hub.behaviour, behaviour)
    const troubles: string[] = []
    const opened = await openModel(REPO, { settings, onTrouble: (trouble) => troubles.push(trouble) })
    assert.deepEqual(opened.tensors, first.tensors)
    assert.match(troubles.at(-1) ?? '', /does not answer: tiny\/llama is opened as it was here last, commit c0ffee/)
  }
})

test('that a hub does not answer is told while it is waited for', async (t) => {
  const hub = await StandInHub.start(t, FILES, { silent: true })
  const settings = await freshSettings(t, hub)
  const ended = new AbortController()
  const told: string[] = []
  const onTrouble = (trouble: string): void => {
    told.push(trouble)
    ended.abort(new Error('enough'))
  }
  await assert.rejects(openModel(REPO, { settings, onTrouble, signal: ended.signal }), /enough/)
  assert.match(told[0] ?? '', /^127\.0\.0\.1:\d+ has not answered yet: waiting for it$/)
})

test('each failure of a hub is told once while it is tried again', async (t) => {
  const hub = await StandInHub.start(t, FILES, { unavailable: 4 })
  const settings = await freshSettings(t, hub)
  const told: string[] = []
  await openModel(REPO, { settings, onTrouble: (trouble) => told.push(trouble) })
  assert.equal(told.length, 1)
  assert.match(told[0] ?? '', /cannot answer for tiny\/llama .*; trying again$/)
})

test('a header larger than the first read comes in two', async (t) => {
  const files = new Map(FILES)
  const shard = files.get(SHARDS[1]!)!
  const length = Number(shard.readBigUInt64LE())
  const padded = Buffer.concat([
    Buffer.alloc(8),
    shard.subarray(8, 8 + length),
    Buffer.alloc(60_000, ' '),
    shard.subarray(8 + length),
  ])
  padded.writeBigUInt64LE(BigInt(length + 60_000))
  files.set(SHARDS[1]!, padded)
  const hub = await StandInHub.start(t, files)
  const checkpoint = await openModel(REPO, { settings: await freshSettings(t, hub) })
  const name = 'model.layers.0.self_attn.q_proj.weight'
  assert.deepEqual(bytesOf(await fetchTensors(checkpoint, [name]), name), bytesOnHub(hub, name))
})

test('a tokenizer of several megabytes comes whole through a hub that cuts connections', async (t) => {
  const tokenizer = Buffer.alloc(3 << 20, '{"a": 1}\n')
  const hub = await StandInHub.start(t, new Map([...FILES, ['tokenizer.json', tokenizer]]), { cutAfterBytes: 1 << 20 })
  const { folder, hasTokenizer } = await openModel(REPO, { settings: await freshSettings(t, hub) })
  assert.equal(hasTokenizer, true)
  assert.ok(tokenizer.equals(await readFile(join(folder, 'tokenizer.json'))))
})
