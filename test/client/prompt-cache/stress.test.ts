import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { AutoDistributedModelForCausalLM } from '../../../src/client/model/model.ts'
import { PromptCache } from '../../../src/client/prompt-cache/prompt-cache.ts'
import { seededRandom } from '../../checkpoint/write.ts'
import { eventually } from '../../eventually.ts'
import { DEMO, type TestSwarm, startServers } from '../kit.ts'
import { someIds } from './some-ids.ts'

const SPANS = [
  [0, 4],
  [4, 8],
] as const
const REQUESTS = 32
const TOGETHER = 8
const GREEDY = { eosTokenIds: [], temperature: 0 }

let swarm: TestSwarm
let model: AutoDistributedModelForCausalLM

before(async () => {
  // Room for a few of the sessions only.
  swarm = await startServers(DEMO, SPANS, { cacheTokens: 3072 })
  model = await AutoDistributedModelForCausalLM.fromPretrained(DEMO, { bootstrap: swarm.bootstrap, threads: 1 })
})

after(async () => {
  await model.close()
  await swarm.stop()
})

test('many requests at once, with common beginnings, ends and little room, all give the right text', async (t) => {
  const seed = Date.now() % 100_000
  t.diagnostic(`seed ${seed}`)
  const random = seededRandom(seed)
  const pick = (count: number): number => Math.floor(random() * count)
  const cache = new PromptCache(model, { maxTokens: 2000 })
  const texts = Array.from({ length: 4 }, (_, i) => someIds(i, 40 + 30 * i))
  let numCut = 0
  const request = async (): Promise<void> => {
    const known = texts[pick(texts.length)]!
    const ids = [...known.slice(0, 1 + pick(known.length)), ...someIds(pick(5), 1 + pick(60))].slice(-400)
    const maxNewTokens = 4 + pick(12)
    const abort = new AbortController()
    if (pick(4) === 0) setTimeout(() => abort.abort(), pick(60))
    const stream = cache.stream(ids, { ...GREEDY, maxNewTokens, signal: abort.signal })
    const leaveAfter = pick(6) === 0 ? pick(4) : Infinity
    const tokenIds: number[] = []
    let cachedTokens = 0
    for (let next = await stream.next(); ; next = await stream.next()) {
      if (next.done === true) {
        cachedTokens = next.value.cachedTokens
        break
      }
      tokenIds.push(...next.value.tokenIds)
      if (tokenIds.length > leaveAfter) {
        await stream.return(undefined as never)
        break
      }
    }
    assert.ok(cachedTokens < ids.length)
    const isWhole = !abort.signal.aborted && leaveAfter === Infinity
    if (!isWhole) numCut++
    const expected = await model.generate(ids, { ...GREEDY, maxNewTokens })
    assert.deepEqual(tokenIds, isWhole ? expected.tokenIds : expected.tokenIds.slice(0, tokenIds.length))
    texts[pick(texts.length)] = [...ids, ...tokenIds]
  }
  let left = REQUESTS
  await Promise.all(
    Array.from({ length: TOGETHER }, async () => {
      while (left-- > 0) await request()
    }),
  )
  const { hitTokens, queryTokens } = cache.stats
  t.diagnostic(`${hitTokens} of ${queryTokens} tokens were held; ${numCut} requests ended early`)
  assert.ok(hitTokens > 0)
  await cache.close()
  await sleep(0)
  await eventually(() => swarm.servers.every(({ server }) => server.engine.numSessions === 0))
})
