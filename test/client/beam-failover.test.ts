import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import type { GenerationOptions } from '../../src/sampling/options/options.ts'
import { AutoDistributedModelForCausalLM } from '../../src/client/model/model.ts'
import type { Recovery } from '../../src/client/session/inference-session.ts'
import { inferredTokens } from '../../bench/metrics.ts'
import type { LocalServer } from '../../src/cli/process/local-swarm.ts'
import { startProcesses } from './kit.ts'

const MODEL = new URL('../../models/demo', import.meta.url).pathname
const REFERENCE = new URL('../fixtures/beams.json', import.meta.url)
const BEAMS = 4,
  TOKENS = 24

interface Reference {
  readonly model: string
  readonly options: GenerationOptions
  readonly promptIds: number[]
  readonly sequences: readonly { readonly tokenIds: number[]; readonly score: number }[]
}

async function reference(): Promise<Reference> {
  const all = JSON.parse(await readFile(REFERENCE, 'utf8')) as Reference[]
  return all.find(
    ({ model, options: { numBeams, maxNewTokens, numReturnSequences } }) =>
      model === 'demo' && numBeams === BEAMS && maxNewTokens === TOKENS && numReturnSequences === BEAMS,
  )!
}

test('a beam search over three servers computes each token once, and gives the same with one killed', async () => {
  const { promptIds, options, sequences } = await reference()
  const swarm = await startProcesses({
    model: MODEL,
    spans: [
      [0, 3],
      [3, 6],
      [6, 8],
      [3, 6],
    ],
    threads: 1,
    extraArgs: ['--attn-cache-tokens', '4096'],
  })
  let model: AutoDistributedModelForCausalLM | undefined
  try {
    model = await AutoDistributedModelForCausalLM.fromPretrained(MODEL, { bootstrap: [swarm.bootstrap], threads: 1 })
    const recoveries: Recovery[] = []
    let route: string[] = []
    model.on('recovery', (recovery) => recoveries.push(recovery))
    model.on('route', (hops) => {
      route = hops.map(({ peerId }) => peerId)
    })
    const serverOf = (peerId: string): LocalServer => swarm.servers.find((each) => each.peerId === peerId)!
    const counts = async (): Promise<Map<string, number>> =>
      new Map(
        await Promise.all(
          swarm.servers.map(async ({ peerId, metricsPort }) => [peerId, await inferredTokens(metricsPort!)] as const),
        ),
      )
    const search = async (onStep?: (numTokens: number) => void): Promise<void> => {
      const logitsProcessors = [
        (_: Float32Array, ids: readonly number[]): void => onStep?.(ids.length - promptIds.length),
      ]
      const results = await model!.generate([promptIds], { ...options, logitsProcessors })
      assert.deepEqual(
        results.map(({ tokenIds }) => tokenIds),
        sequences.map(({ tokenIds }) => tokenIds),
      )
      results.forEach(({ score }, i) =>
        assert.ok(Math.abs(score! - sequences[i]!.score) < 1e-3, `score ${score}, expected ${sequences[i]!.score}`),
      )
    }

    const before = await counts()
    await search()
    const inAll = promptIds.length + BEAMS * (TOKENS - 1)
    const settled = await counts()
    for (const [peerId, count] of settled)
      assert.equal(count - before.get(peerId)!, route.includes(peerId) ? inAll : 0, peerId)
    assert.equal(recoveries.length, 0)

    let used: string[] = []
    await search((numTokens) => {
      if (numTokens !== 10 || used.length > 0) return
      used = [...route]
      serverOf(used[1]!).process.kill('SIGKILL')
    })
    assert.notEqual(route[1], used[1])
    assert.deepEqual([route[0], route[2]], [used[0], used[2]])
    assert.ok(recoveries.length >= 1 && recoveries.every(({ lost }) => lost.every((peerId) => peerId === used[1])))
    for (const peerId of [used[0]!, used[2]!]) {
      const count = await inferredTokens(serverOf(peerId).metricsPort!)
      assert.equal(count - settled.get(peerId)!, inAll, 'the others compute nothing again')
    }
  } finally {
    await model?.close()
    await swarm.stop()
  }
})
