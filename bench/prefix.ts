import { startLocalSwarm } from '../src/cli/process/local-swarm.ts'
import { AutoDistributedModelForCausalLM } from '../src/client/model/model.ts'
import { type CachedResult, PromptCache } from '../src/client/prompt-cache/prompt-cache.ts'
import { resultOf } from '../src/client/generation/continuations.ts'
import { someIds } from '../test/client/prompt-cache/some-ids.ts'
import { inferredTokens } from './metrics.ts'
import { median, sum } from './statistics.ts'

const MODEL = new URL('../models/demo', import.meta.url).pathname
const SYSTEM_TOKENS = 1500
const TURNS = 20
const ROUNDS = 5
const OPTIONS = { maxNewTokens: 8, eosTokenIds: [], temperature: 0 }

/** Time to the first token of prompts that come again, go on, or share a beginning, and what servers compute. */
export async function benchPrefix(): Promise<void> {
  const spans = [
    [0, 3],
    [3, 6],
    [6, 8],
  ] as const
  const swarm = await startLocalSwarm({ model: MODEL, spans, extraArgs: ['--attn-cache-tokens', '16384'] })
  const model = await AutoDistributedModelForCausalLM.fromPretrained(MODEL, { bootstrap: [swarm.bootstrap] })
  const cache = new PromptCache(model)
  const computed = async (): Promise<number> =>
    sum(await Promise.all(swarm.servers.map(({ metricsPort }) => inferredTokens(metricsPort!))))
  const write = (ids: readonly number[]): Promise<CachedResult> => resultOf(cache.stream(ids, OPTIONS))
  try {
    await write(someIds(0, SYSTEM_TOKENS))
    const times = { first: [] as number[], again: [] as number[], shared: [] as number[] }
    for (let round = 1; round <= ROUNDS; round++) {
      const system = someIds(100 + round, SYSTEM_TOKENS)
      const prompt = [...system, ...someIds(200 + round, 50)]
      times.first.push((await write(prompt)).prefillSeconds)
      times.again.push((await write(prompt)).prefillSeconds)
      times.shared.push((await write([...system, ...someIds(300 + round, 50)])).prefillSeconds)
    }
    const first = median(times.first)
    for (const [name, seconds] of Object.entries(times)) {
      const ms = seconds.map((each) => (each * 1000).toFixed(0)).join(', ')
      console.log(`${name}: ${ms} ms to the first token, median ${(median(seconds) / first).toFixed(3)} of the first`)
    }
    const before = await computed()
    const ids = someIds(400, SYSTEM_TOKENS)
    for (let turn = 0; turn < TURNS; turn++) {
      const { tokenIds } = await write(ids)
      ids.push(...tokenIds, ...someIds(500 + turn, 12))
    }
    const held = ids.length - 12 - 1
    const times3 = (await computed()) - before
    console.log(
      `${TURNS} turns of ${held} tokens together: each of ${spans.length} servers computed ` +
        `${(times3 / spans.length / held).toFixed(3)} times as many`,
    )
  } finally {
    await cache.close()
    await model.close()
    await swarm.stop()
  }
}
