import assert from 'node:assert/strict'
import { readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Checkpoint } from '../../../../src/checkpoint/checkpoint.ts'
import { fetchTensors } from '../../../../src/checkpoint/hub/download/fetch-tensors.ts'
import { openModel } from '../../../../src/checkpoint/open-model.ts'
import type { DownloadProgress } from '../../../../src/checkpoint/hub/download/progress.ts'
import { endsTensorNames, spanTensorNames } from '../../../../src/engine/loading/tensor-names.ts'
import { bytesOf, bytesOnHub, filesBelow, freshSettings, modelFiles, SMALL, TINY } from '../kit.ts'
import { REPO, StandInHub } from '../server.ts'

const FILES = modelFiles(TINY)
const SMALL_FILES = modelFiles(SMALL)
const WEIGHTS = /safetensors$/
const HEADER_READ = 32 << 10

function weightBytes(checkpoint: Checkpoint, names: readonly string[]): number {
  return names.reduce((sum, name) => sum + checkpoint.tensors.get(name)!.byteLength, 0)
}

function assertSame(hub: StandInHub, checkpoint: Checkpoint, names: readonly string[]): void {
  for (const name of names) assert.ok(bytesOf(checkpoint, name).equals(bytesOnHub(hub, name)), name)
}

test('blocks 10:20 of a sharded checkpoint fetch only their bytes', async (t) => {
  const hub = await StandInHub.start(t, FILES)
  const settings = await freshSettings(t, hub)
  const opened = await openModel(REPO, { settings })
  assert.ok(hub.sent(WEIGHTS) <= 4 * HEADER_READ)
  hub.forget()

  const names = spanTensorNames(opened, 10, 20)
  assert.equal(names.length, 10 * 9)
  const events: DownloadProgress[] = []
  const fetched = await fetchTensors(opened, names, { onProgress: (progress) => events.push(progress) })
  assertSame(hub, fetched, names)
  // The last shard is wanted whole, and comes with its header.
  const wholeHeader = FILES.get('model-00004-of-00004.safetensors')!.readBigUInt64LE()
  assert.equal(hub.sent(WEIGHTS), weightBytes(opened, names) + Number(wholeHeader) + 8)
  assert.equal(hub.sent(/model-0000[12]/), 0)
  assert.equal(events.at(-1)?.bytes, events.at(-1)?.totalBytes)
  assert.deepEqual(
    await readdir(join(opened.folder)).then((names) => names.filter((name) => WEIGHTS.test(name)).sort()),
    ['model-00004-of-00004.safetensors'],
  )
})

test('both ends fetch only their bytes', async (t) => {
  const hub = await StandInHub.start(t, FILES)
  const opened = await openModel(REPO, { settings: await freshSettings(t, hub) })
  const names = endsTensorNames(opened)
  assert.deepEqual(names.toSorted(), ['lm_head.weight', 'model.embed_tokens.weight', 'model.norm.weight'])
  assertSame(hub, await fetchTensors(opened, names), names)
  assert.equal(hub.sent(/model-0000[234]/) <= 3 * HEADER_READ, true)
})

test('what is here is checked and not fetched again; what is damaged is', async (t) => {
  const hub = await StandInHub.start(t, FILES)
  const settings = await freshSettings(t, hub)
  const opened = await openModel(REPO, { settings })
  const names = spanTensorNames(opened, 8, 12)
  const first = await fetchTensors(opened, names)
  hub.forget()
  assert.deepEqual((await fetchTensors(opened, names)).tensors, first.tensors)
  assert.deepEqual(hub.log, [])

  const damaged = first.tensors.get('model.layers.9.mlp.up_proj.weight')!
  await writeFile(damaged.file, Buffer.alloc(damaged.byteLength))
  assertSame(hub, await fetchTensors(opened, names), names)
  assert.equal(hub.sent(WEIGHTS), damaged.byteLength)
})

test('a manifest that says nonsense costs a download and nothing else', async (t) => {
  const hub = await StandInHub.start(t, FILES)
  const settings = await freshSettings(t, hub)
  const opened = await openModel(REPO, { settings })
  const names = ['model.layers.3.mlp.up_proj.weight']
  const { file } = (await fetchTensors(opened, names)).tensors.get(names[0]!)!
  for (const text of [
    '{',
    '[]',
    '{"ranges":{"../../x":{"sha256":"a","usedAt":1},"9-3":{"sha256":"a","usedAt":1},"0-10":7}}',
  ]) {
    await writeFile(join(file, '../manifest.json'), text)
    assertSame(hub, await fetchTensors(opened, names), names)
  }
})

test('a hub that cuts each connection after 1 MB still ends with correct checksums', async (t) => {
  const hub = await StandInHub.start(t, SMALL_FILES, { cutAfterBytes: 1 << 20 })
  const settings = await freshSettings(t, hub)
  const opened = await openModel(REPO, { settings })
  const names = spanTensorNames(opened, 2, 6)
  hub.forget()
  const fetched = await fetchTensors(opened, names)
  assertSame(hub, fetched, names)
  assert.ok(hub.log.length >= 8)
  // The whole second shard was checked against the hub's own sha256, and is in the standard cache.
  assert.match(fetched.tensors.get('model.layers.5.mlp.up_proj.weight')!.file, /snapshots.*model-00003/)
})

test('a hub that gives large files itself, and one whose signed addresses expire, do as well', async (t) => {
  const hub = await StandInHub.start(t, FILES, { direct: true })
  const opened = await openModel(REPO, { settings: await freshSettings(t, hub) })
  const names = spanTensorNames(opened, 3, 5)
  assertSame(hub, await fetchTensors(opened, names), names)

  const second = await StandInHub.start(t, SMALL_FILES, { cutAfterBytes: 1 << 20, expired: 5 })
  const other = await openModel(REPO, { settings: await freshSettings(t, second) })
  const span = spanTensorNames(other, 0, 2)
  assertSame(second, await fetchTensors(other, span), span)
})

test('the token goes to the hub and to no other host', async (t) => {
  const hub = await StandInHub.start(t, FILES, { gated: true })
  const opened = await openModel(REPO, { settings: await freshSettings(t, hub, { token: 'a-secret' }) })
  await fetchTensors(opened, ['lm_head.weight'])
  assert.ok(hub.log.some(({ host }) => host === 'cdn'))
  for (const { host, authorization } of hub.log)
    assert.equal(authorization, host === 'hub' ? 'Bearer a-secret' : undefined)
})

test('an aborted download ends with the reason, leaves its bytes, and goes on from there', async (t) => {
  const hub = await StandInHub.start(t, SMALL_FILES, { bytesPerMs: 2000 })
  const settings = await freshSettings(t, hub)
  const opened = await openModel(REPO, { settings })
  const names = spanTensorNames(opened, 1, 2)
  const controller = new AbortController()
  const reason = new Error('enough')
  const onProgress = ({ downloadedBytes }: DownloadProgress) => {
    if (downloadedBytes > 300_000) controller.abort(reason)
  }
  await assert.rejects(fetchTensors(opened, names, { signal: controller.signal, onProgress }), reason)
  const here = [...(await filesBelow(settings.partsFolder))].filter(
    ([name]) => /\/\d+-\d+(\.incomplete)?$/.test(name) && !/\/0-/.test(name),
  )
  const hereBytes = here.reduce((sum, [, bytes]) => sum + bytes, 0)
  assert.ok(hereBytes > 300_000)
  hub.forget()
  hub.behaviour.bytesPerMs = Infinity
  assertSame(hub, await fetchTensors(opened, names), names)
  assert.equal(hub.sent(WEIGHTS), weightBytes(opened, names) - hereBytes)
})

test('a link in the place of a part does not lead bytes elsewhere', async (t) => {
  const hub = await StandInHub.start(t, FILES)
  const settings = await freshSettings(t, hub)
  const opened = await openModel(REPO, { settings })
  const name = 'model.layers.8.mlp.up_proj.weight'
  const { file } = (await fetchTensors(opened, [name])).tensors.get(name)!
  const outside = join(settings.partsFolder, '../outside')
  await writeFile(outside, '')
  await rm(file)
  await symlink(outside, `${file}.incomplete`)
  assertSame(hub, await fetchTensors(opened, [name]), [name])
  assert.equal((await filesBelow(join(settings.partsFolder, '..'))).get('outside'), 0)
})
