import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { SuperviseEvent } from '../../src/cli/process/supervise.ts'
import { AutoDistributedModelForCausalLM } from '../../src/client/model/model.ts'
import { MAIN } from '../cli/kit.ts'
import { DEMO, goldenTexts, startServers } from '../client/kit.ts'
import { startNode } from '../swarm/kit.ts'

const SUPERVISOR = new URL('../cli/process/supervise-child.ts', import.meta.url).pathname

interface Ready {
  peerId: string
  multiaddrs: string[]
}

async function readyReport(file: string): Promise<Ready> {
  for (let i = 0; i < 1000; i++) {
    const text = await readFile(file, 'utf8').catch(() => '')
    if (text.startsWith('{')) return JSON.parse(text) as Ready
    await sleep(20)
  }
  throw new Error(`${file} was not written`)
}

test('a server killed in mid-generation is restarted as the same peer; the client has gone on elsewhere', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'petals-supervise-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const meetingPoint = await startNode(t)
  await meetingPoint.records.start()
  t.after(() => meetingPoint.records.stop())
  const bootstrap = meetingPoint.multiaddrs[0]!
  const readyFile = join(folder, 'ready.json')
  const supervisor = spawn(
    process.execPath,
    [
      SUPERVISOR,
      process.execPath,
      MAIN,
      'serve',
      '--model',
      DEMO,
      '--threads',
      '1',
      '--listen',
      '/ip4/127.0.0.1/tcp/0',
      '--bootstrap',
      bootstrap,
      '--identity',
      join(folder, 'identity'),
      '--ready-file',
      readyFile,
      '--attn-cache-tokens',
      '2048',
    ],
    { stdio: ['ignore', 'pipe', 'ignore'] },
  )
  t.after(() => supervisor.kill('SIGTERM'))
  const events = createInterface({ input: supervisor.stdout })[Symbol.asyncIterator]()
  const { pid } = JSON.parse((await events.next()).value as string) as Extract<SuperviseEvent, { type: 'started' }>
  const first = await readyReport(readyFile)

  const golden = (await goldenTexts())[0]!
  const model = await AutoDistributedModelForCausalLM.fromPretrained(DEMO, { bootstrap: [bootstrap], threads: 1 })
  t.after(() => model.close())
  let numRecoveries = 0
  model.on('recovery', () => {
    numRecoveries += 1
  })
  const ids: number[] = []
  let backup: Awaited<ReturnType<typeof startServers>> | undefined
  t.after(() => backup?.stop())
  for await (const { tokenIds } of model.stream(golden.prompt, { maxNewTokens: 32, eosTokenIds: [] })) {
    ids.push(...tokenIds)
    if (ids.length !== 8) continue
    backup = await startServers(DEMO, [[0, 8]], { bootstrap: [bootstrap] })
    await rm(readyFile)
    process.kill(pid, 'SIGKILL')
  }
  assert.deepEqual(ids, golden.greedy_ids.slice(golden.input_ids.length, golden.input_ids.length + 32))
  assert.equal(numRecoveries, 1)
  const second = await readyReport(readyFile)
  assert.equal(second.peerId, first.peerId)
  assert.notDeepEqual(second.multiaddrs, first.multiaddrs)
})
