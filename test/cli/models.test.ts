import assert from 'node:assert/strict'
import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { fetchTensors, releaseTensors } from '../../src/checkpoint/hub/download/fetch-tensors.ts'
import { openModel } from '../../src/checkpoint/open-model.ts'
import { hubSettings } from '../../src/checkpoint/hub/settings.ts'
import { spanTensorNames } from '../../src/engine/loading/tensor-names.ts'
import { TINY, modelFiles } from '../checkpoint/hub/kit.ts'
import { COMMIT, REPO, StandInHub } from '../checkpoint/hub/server.ts'
import { type Ended, start, tempFolder } from './kit.ts'

interface Listed {
  readonly repo: string
  readonly numBlocks: number
  readonly blocks: string[]
  readonly client: boolean
  readonly sharedBytes: number
  readonly partBytes: number
  readonly inUse: boolean
}

/** What doctor has found about the download. */
function found(run: Ended): string {
  const { findings } = JSON.parse(run.stdout) as { findings: { check: string; found: string }[] }
  return findings.find(({ check }) => check === 'Download')!.found
}

/** A hub with one model, a home without any, and the commands that use them. */
async function withHub(t: TestContext): Promise<{
  hub: StandInHub
  env: { HF_HOME: string; HF_ENDPOINT: string }
  petals: (...args: string[]) => Promise<Ended>
  listed: () => Promise<Listed[]>
}> {
  const hub = await StandInHub.start(t, modelFiles(TINY))
  const env = { HF_HOME: await tempFolder(t), HF_ENDPOINT: hub.endpoint }
  const petals = async (...args: string[]): Promise<Ended> => {
    const { ended, out } = start(t, args, { env })
    return { code: await ended, ...out }
  }
  const listed = async (): Promise<Listed[]> =>
    (JSON.parse((await petals('list', '--json')).stdout) as { models: Listed[] }).models
  return { hub, env, petals, listed }
}

test('blocks are pulled once, shown by list, and gone after rm', async (t) => {
  const { hub, env, petals, listed } = await withHub(t)
  assert.match((await petals('list')).stdout, /^no models in /)

  const blocks = await petals('pull', REPO, '--blocks', '3:9')
  assert.equal(blocks.code, 0, blocks.stderr)
  assert.match(
    blocks.stdout,
    /^tiny\/llama@main, commit c0ffee000000: blocks 3:9; 591 kB, 567 kB of it downloaded now\n$/,
  )
  assert.deepEqual(
    (await listed()).map(({ repo, blocks, numBlocks, client, inUse }) => [repo, blocks, numBlocks, client, inUse]),
    [[REPO, ['3:9'], 20, false, false]],
  )

  hub.forget()
  const again = await petals('pull', REPO, '--blocks', '4:8', '--json')
  const { downloadedBytes, commit } = JSON.parse(again.stdout) as { downloadedBytes: number; commit: string }
  assert.deepEqual([downloadedBytes, commit], [0, COMMIT])
  assert.equal(hub.asked(/safetensors/), 0)

  assert.equal((await petals('pull', '-m', REPO, '--client')).code, 0)
  const all = await petals('pull', `${REPO}@main`)
  assert.equal(all.code, 0, all.stderr)
  const [model] = await listed()
  assert.deepEqual([model!.blocks, model!.client], [['0:20'], true])
  const table = await petals('list')
  assert.match(
    table.stdout,
    /^MODEL +REVISION +BLOCKS +CLIENT +SIZE +CHANGED\ntiny\/llama +main +0:20 of 20 +yes +2\.\d MB /,
  )

  assert.match(
    (await petals('rm', 'tiny/lama')).stderr,
    /nothing of tiny\/lama is in the cache: did you mean tiny\/llama\?/,
  )
  const kept = await petals('rm', REPO, '--keep-shared', '--json')
  assert.equal(kept.code, 0, kept.stderr)
  assert.deepEqual(
    (await listed()).map(({ partBytes }) => partBytes),
    [0],
  )
  const removed = await petals('rm', REPO)
  assert.match(removed.stdout, /^tiny\/llama: .* deleted\n$/)
  assert.deepEqual(await listed(), [])
  await assert.rejects(access(join(env.HF_HOME, 'hub', 'models--tiny--llama')))
})

test('a model of which a process uses parts is not deleted', async (t) => {
  const { env, petals, listed } = await withHub(t)
  const opened = await openModel(REPO, { settings: hubSettings(env) })
  const fetched = await fetchTensors(opened, spanTensorNames(opened, 0, 2))
  assert.equal((await listed())[0]!.inUse, true)
  const refused = await petals('rm', REPO)
  assert.equal(refused.code, 1)
  assert.match(refused.stderr, /a process of this machine uses tiny\/llama just now: stop it first/)
  await releaseTensors(fetched)
  assert.equal((await petals('rm', REPO)).code, 0)
})

test('what cannot be pulled says so', async (t) => {
  const { petals } = await withHub(t)
  for (const [args, code, message] of [
    [[], 2, /which model\? Give its name on the hub, like org\/name/],
    [['/'], 1, /config\.json/],
    [[REPO, '--blocks', '3:30'], 2, /--blocks 3:30: this model has blocks 0:20/],
    [['tiny/other'], 1, /has no model tiny\/other/],
  ] as const) {
    const { code: ended, stderr } = await petals('pull', ...args)
    assert.equal(ended, code, stderr)
    assert.match(stderr, message)
  }
})

test('doctor compares what fits with what is here and what the disk has left', async (t) => {
  const { petals } = await withHub(t)
  const fits = await petals('doctor', '--model', REPO, '--json')
  assert.match(found(fits), /^2\.0 MB for 20 blocks, of which 0 bytes are here; \d.* are free in /)
  await petals('pull', REPO, '--blocks', '0:20')
  assert.match(
    found(await petals('doctor', '--model', REPO, '--json')),
    /^2\.0 MB for 20 blocks, of which 2\.0 MB are here/,
  )
})
