import assert from 'node:assert/strict'
import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { pino } from 'pino'
import { openModel } from '../../../src/checkpoint/open-model.ts'
import { AutoDistributedModelForCausalLM } from '../../../src/client/model/model.ts'
import { CPU } from '../../../src/runtime/device.ts'
import { serve } from '../../../src/server/serve.ts'
import { loadIdentity } from '../../../src/swarm/node/identity.ts'
import { createSwarmNode } from '../../../src/swarm/node/node.ts'
import { DEMO, goldenTexts } from '../../client/kit.ts'
import { filesBelow, freshSettings } from './kit.ts'
import { REPO, StandInHub } from './server.ts'

const BLOCK_PART = /\/\d+-\d+$/

async function demoFiles(): Promise<Map<string, Buffer>> {
  const names = await readdir(DEMO)
  return new Map(await Promise.all(names.map(async (name) => [name, await readFile(join(DEMO, name))] as const)))
}

test('server and client of a model of the hub fetch what each needs, and generate what a folder does', async (t) => {
  const hub = await StandInHub.start(t, await demoFiles())
  const settings = await freshSettings(t, hub)
  const logger = pino({ level: 'silent' })
  const node = await createSwarmNode({
    identity: await loadIdentity(),
    listen: ['/ip4/127.0.0.1/tcp/0'],
    bootstrap: [],
    logger,
  })
  await node.start()
  const undo = [() => node.stop()]
  t.after(async () => {
    for (const step of undo.toReversed()) await step()
  })
  const checkpoint = await openModel(REPO, { settings })
  const { numBlocks } = checkpoint.config
  let downloaded = 0
  const onProgress = ({ downloadedBytes }: { downloadedBytes: number }) => {
    downloaded = downloadedBytes
  }
  const server = await serve(
    node,
    {
      checkpoint,
      start: 0,
      end: numBlocks,
      device: CPU,
      dtype: 'float32',
      threads: 1,
      spin: false,
      cacheTokens: 4096,
      download: { onProgress },
    },
    logger,
  )
  undo.push(() => server.stop())
  const weights = hub.files.get('model.safetensors')!.length
  assert.ok(downloaded > 0 && downloaded < weights)

  const model = await AutoDistributedModelForCausalLM.fromPretrained(REPO, {
    bootstrap: [node.multiaddrs[0]!],
    threads: 1,
    download: { settings },
  })
  undo.push(() => model.close())
  const [golden] = await goldenTexts()
  const result = await model.generate(golden!.prompt, { maxNewTokens: 8, doSample: false })
  assert.deepEqual(result.tokenIds, golden!.greedy_ids.slice(golden!.input_ids.length).slice(0, 8))

  assert.ok(hub.sent(/safetensors$/) <= weights + (64 << 10), `${hub.sent(/safetensors$/)} of ${weights}`)
  for (const step of undo.splice(1).toReversed()) await step()
  assert.deepEqual([...(await filesBelow(join(settings.partsFolder, 'in-use'))).keys()], [])
  assert.ok([...(await filesBelow(settings.partsFolder)).keys()].some((name) => BLOCK_PART.test(name)))
})
