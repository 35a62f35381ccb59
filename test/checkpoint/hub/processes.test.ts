import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { test, type TestContext } from 'node:test'
import { fetchTensors } from '../../../src/checkpoint/hub/download/fetch-tensors.ts'
import { openModel } from '../../../src/checkpoint/open-model.ts'
import type { HubSettings } from '../../../src/checkpoint/hub/settings.ts'
import { spanTensorNames } from '../../../src/engine/loading/tensor-names.ts'
import { bytesOf, bytesOnHub, filesBelow, freshSettings, modelFiles, SMALL } from './kit.ts'
import { REPO, StandInHub } from './server.ts'

const FILES = modelFiles(SMALL)
const WEIGHTS = /safetensors$/
const WEIGHTS_ON_CDN = /safetensors\?signed/
const SPAN = [2, 6] as const

function startDownload(context: TestContext, settings: HubSettings): ChildProcess {
  const env = { ...process.env, HF_HOME: join(settings.partsFolder, '..'), HF_ENDPOINT: settings.endpoint }
  const child = spawn(process.execPath, [join(import.meta.dirname, 'download-child.ts'), REPO, ...SPAN.map(String)], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  context.after(() => child.kill('SIGKILL'))
  return child
}

/** Kills the child once it has downloaded so many bytes. */
async function killAfter(child: ChildProcess, bytes: number): Promise<void> {
  for await (const line of createInterface(child.stdout!)) if (Number(line) >= bytes) break
  child.kill('SIGKILL')
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
}

async function assertFetched(hub: StandInHub, settings: HubSettings): Promise<void> {
  const opened = await openModel(REPO, { settings: { ...settings, offline: true } })
  const names = spanTensorNames(opened, ...SPAN)
  const fetched = await fetchTensors(opened, names)
  for (const name of names) assert.ok(bytesOf(fetched, name).equals(bytesOnHub(hub, name)), name)
}

/** The bytes of weights on the disk, but for the headers' first reads. */
async function bytesHere({ cacheFolder, partsFolder }: HubSettings): Promise<number> {
  const files = [
    ...(await filesBelow(partsFolder)),
    ...(await filesBelow(join(cacheFolder, 'models--tiny--llama/blobs'))),
  ]
  return files
    .filter(([name]) => /(^|\/)(\d+-\d+(\.incomplete)?|[0-9a-f]{64})$/.test(name) && !name.endsWith('/0-32768'))
    .reduce((sum, [, bytes]) => sum + bytes, 0)
}

test('a process that is killed in mid-download and started again downloads nothing twice', async (t) => {
  const hub = await StandInHub.start(t, FILES, { bytesPerMs: 2000 })
  const settings = await freshSettings(t, hub)
  await killAfter(startDownload(t, settings), 2_000_000)
  const here = await bytesHere(settings)
  assert.ok(here >= 2_000_000)

  hub.forget()
  hub.behaviour.bytesPerMs = Infinity
  const [code] = (await once(startDownload(t, settings), 'exit')) as [number]
  assert.equal(code, 0)
  // Nothing but the bytes that were not on the disk was asked for.
  assert.equal(hub.asked(WEIGHTS_ON_CDN), (await bytesHere(settings)) - here)
  assert.equal(hub.sent(WEIGHTS), (await bytesHere(settings)) - here)
  await assertFetched(hub, settings)
})

test('two processes at once share the work', async (t) => {
  const hub = await StandInHub.start(t, FILES, { bytesPerMs: 10_000 })
  const settings = await freshSettings(t, hub)
  const children = [startDownload(t, settings), startDownload(t, settings)]
  const codes = await Promise.all(children.map((child) => once(child, 'exit')))
  assert.deepEqual(
    codes.map(([code]) => code as number),
    [0, 0],
  )
  const headers = 3 * (32 << 10)
  assert.ok(hub.sent(WEIGHTS) <= (await bytesHere(settings)) + headers, `${hub.sent(WEIGHTS)} bytes were sent`)
  await assertFetched(hub, settings)
  const left = [...(await filesBelow(join(settings.partsFolder, '..'))).keys()].filter((name) =>
    name.endsWith('.incomplete'),
  )
  assert.deepEqual(left, [])
})
