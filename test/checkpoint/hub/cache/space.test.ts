import assert from 'node:assert/strict'
import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import type { Checkpoint } from '../../../../src/checkpoint/checkpoint.ts'
import { fetchTensors, releaseTensors } from '../../../../src/checkpoint/hub/download/fetch-tensors.ts'
import { openModel } from '../../../../src/checkpoint/open-model.ts'
import type { HubSettings } from '../../../../src/checkpoint/hub/settings.ts'
import { spanTensorNames } from '../../../../src/engine/loading/tensor-names.ts'
import { bytesOf, bytesOnHub, filesBelow, freshSettings, modelFiles, TINY } from '../kit.ts'
import { REPO, StandInHub } from '../server.ts'

const FILES = modelFiles(TINY)
const BLOCK_BYTES = (2 * 64 * 64 + 2 * 32 * 64 + 3 * 64 * 192 + 2 * 64) * 2
const HEADERS = 4 * (32 << 10)
const ROOM_FOR_FOUR = 4 * BLOCK_BYTES + HEADERS

interface Setup {
  readonly hub: StandInHub
  readonly settings: HubSettings
  fetch(start: number, end: number, maxDiskSpaceBytes?: number): Promise<Checkpoint>
}

async function setup(t: TestContext): Promise<Setup> {
  const hub = await StandInHub.start(t, FILES)
  const settings = await freshSettings(t, hub)
  const fetch = async (start: number, end: number, maxDiskSpaceBytes = ROOM_FOR_FOUR) => {
    const opened = await openModel(REPO, { settings })
    return fetchTensors(opened, spanTensorNames(opened, start, end), { maxDiskSpaceBytes })
  }
  return { hub, settings, fetch }
}

async function partBytes({ partsFolder }: HubSettings): Promise<number> {
  const parts = [...(await filesBelow(partsFolder))].filter(([name]) => /\/\d+-\d+(\.incomplete)?$/.test(name))
  return parts.reduce((sum, [, bytes]) => sum + bytes, 0)
}

test('the bound holds: what was used least recently goes, and comes again when it is wanted', async (t) => {
  const { hub, settings, fetch } = await setup(t)
  for (const [start, end] of [
    [0, 2],
    [2, 4],
    [0, 2],
    [4, 6],
  ] as const)
    await releaseTensors(await fetch(start, end))
  assert.ok((await partBytes(settings)) <= ROOM_FOR_FOUR)
  hub.forget()
  await releaseTensors(await fetch(0, 2))
  assert.equal(hub.sent(/safetensors$/), 0)
  const again = await fetch(2, 4)
  assert.ok(hub.sent(/safetensors$/) > BLOCK_BYTES)
  assert.ok((await partBytes(settings)) <= ROOM_FOR_FOUR)
  for (const name of spanTensorNames(again, 2, 4)) assert.ok(bytesOf(again, name).equals(bytesOnHub(hub, name)), name)
})

test('what a process uses stays, and the bound that it breaks is named with the cure', async (t) => {
  const { hub, fetch } = await setup(t)
  const used = await fetch(0, 3)
  await assert.rejects(fetch(7, 10), {
    code: 'HUB_DISK_LIMIT',
    message: /--max-disk-space is 525 kB: raise it, or serve fewer blocks/,
  })
  for (const name of spanTensorNames(used, 0, 3)) assert.ok(bytesOf(used, name).equals(bytesOnHub(hub, name)), name)
  await releaseTensors(used)
  await fetch(7, 10)
})

test('the marks of dead processes do not count', async (t) => {
  const { settings, fetch } = await setup(t)
  const used = await fetch(0, 3)
  const folder = join(settings.partsFolder, 'in-use')
  const [name = ''] = await readdir(folder)
  await writeFile(join(folder, name), JSON.stringify({ host: hostname(), pid: 2 ** 22 + 1, keys: [] }))
  await fetch(7, 10)
  assert.equal((await readdir(folder)).includes(name), false)
  await releaseTensors(used)
})

test('with a bound a shard wanted whole stays ours, checked against the hub, so that it can be evicted', async (t) => {
  const { hub, settings, fetch } = await setup(t)
  const whole = await fetch(14, 20, 8 * BLOCK_BYTES)
  const { file } = whole.tensors.get('model.layers.15.mlp.up_proj.weight')!
  assert.ok(file.startsWith(settings.partsFolder))
  for (const name of spanTensorNames(whole, 14, 20)) assert.ok(bytesOf(whole, name).equals(bytesOnHub(hub, name)), name)
  await releaseTensors(whole)
  await fetch(0, 3)
  assert.ok((await partBytes(settings)) <= ROOM_FOR_FOUR)
})

test('nothing is evicted but our own parts', async (t) => {
  const { settings, fetch } = await setup(t)
  const foreign = [
    'models--a--b/notes.txt',
    'models--a--b/' + 'a'.repeat(40) + '/readme',
    'other/0-100',
    'models--a--b/x/0-100',
  ]
  for (const name of foreign) {
    await mkdir(join(settings.partsFolder, name, '..'), { recursive: true })
    await writeFile(join(settings.partsFolder, name), Buffer.alloc(1000))
  }
  for (const [start, end] of [
    [0, 4],
    [4, 7],
  ] as const)
    await releaseTensors(await fetch(start, end))
  const here = await filesBelow(settings.partsFolder)
  for (const name of foreign) assert.equal(here.get(name), 1000, name)
})
