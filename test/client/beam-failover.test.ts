import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { startProcesses } from './kit.ts'
import type { GenerationOptions } from '../../src/sampling/options/options.ts'
import { AutoDistributedModelForCausalLM } from '../../src/client/model/model.ts'
import type { Recovery } from '../../src/client/session/inference-session.ts'
import { inferredTokens } from '../../bench/metrics.ts'

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
    /** Tokens that each server has computed so far. */
    const counts = (): Promise<number[]> =>
      Promise.all(swarm.servers.map(({ metricsPort }) => inferredTokens(metricsPort!)))
    const serverAt = (place: number) => swarm.servers.findIndex(({ peerId }) => peerId === route[place])
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

    const inAll = promptIds.length + BEAMS * (TOKENS - 1)
    const before = await counts()
    await search()
    // Which of the two servers of the middle is taken depends on how fast they were so far.
    const expected = before.map((count, i) => count + ([0, 1, 2].some((place) => serverAt(place) === i) ? inAll : 0))
    const settled = await counts()
    assert.deepEqual(settled, expected)
    assert.equal(recoveries.length, 0)

    let used = route
    await search((numTokens) => {
      if (numTokens !== 10) return
      used = route
      swarm.servers[serverAt(1)]!.process.kill('SIGKILL')
    })
    assert.notEqual(route[1], used[1])
    assert.deepEqual([route[0], route[2]], [used[0], used[2]])
    assert.ok(recoveries.length >= 1 && recoveries.every(({ lost }) => lost.every((peerId) => peerId === used[1])))
    for (const place of [0, 2]) {
      const i = serverAt(place)
      const now = await inferredTokens(swarm.servers[i]!.metricsPort!)
      assert.equal(now - settled[i]!, inAll, 'the others compute nothing again')
    }
  } finally {
    await model?.close()
    await swarm.stop()
  }
})
