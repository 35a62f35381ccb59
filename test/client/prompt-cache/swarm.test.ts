import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inferredTokens } from '../../../bench/metrics.ts'
import type { LocalServer, LocalSwarm } from '../../../src/cli/process/local-swarm.ts'
import { resultOf } from '../../../src/client/generation/continuations.ts'
import { AutoDistributedModelForCausalLM } from '../../../src/client/model/model.ts'
import { type CachedResult, PromptCache } from '../../../src/client/prompt-cache/prompt-cache.ts'
import type { Span } from '../../../src/base/span.ts'
import { eventually } from '../../eventually.ts'
import { DEMO, startProcesses } from '../kit.ts'
import { someIds } from './some-ids.ts'

/*
 * Servers as processes of their own, whose metrics say what they have computed.
 */
const GREEDY = { maxNewTokens: 8, eosTokenIds: [], temperature: 0 }

interface Setup {
  readonly swarm: LocalSwarm
  readonly model: AutoDistributedModelForCausalLM
  readonly cache: PromptCache
  /** Tokens that each server has computed for sessions since the beginning. */
  readonly computed: (servers?: readonly LocalServer[]) => Promise<number[]>
}

function read(servers: readonly LocalServer[]): Promise<number[]> {
  return Promise.all(servers.map(({ metricsPort }) => inferredTokens(metricsPort!)))
}

/** A swarm for `runs`, one after another, each with a cache of its own. */
async function withSwarm(
  spans: readonly Span[],
  cacheTokens: number,
  ...runs: readonly ((setup: Setup) => Promise<void>)[]
): Promise<void> {
  const extraArgs = ['--attn-cache-tokens', String(cacheTokens)]
  await using parts = new AsyncDisposableStack()
  const swarm = await startProcesses({ model: DEMO, spans, threads: 1, extraArgs })
  parts.defer(() => swarm.stop())
  const open = { bootstrap: [swarm.bootstrap], threads: 1 }
  const model = parts.use(await AutoDistributedModelForCausalLM.fromPretrained(DEMO, open))
  for (const run of runs) {
    await using cache = new PromptCache(model)
    const before = new Map((await read(swarm.servers)).map((tokens, i) => [swarm.servers[i]!, tokens]))
    const computed = async (servers = swarm.servers) =>
      (await read(servers)).map((tokens, i) => tokens - before.get(servers[i]!)!)
    await run({ swarm, model, cache, computed })
  }
}

function write(cache: PromptCache, ids: readonly number[]): Promise<CachedResult> {
  return resultOf(cache.stream([...ids], GREEDY))
}

const TWICE = [
  [0, 4],
  [0, 4],
  [4, 8],
  [4, 8],
] as const

test('a conversation computes each token once; where a server dies while it is parked, its span alone again', (t) =>
  withSwarm(
    TWICE,
    4096,
    (setup) => t.test('twenty turns of an agent with a long system prompt', () => twentyTurns(setup)),
    (setup) => t.test('a server that is killed meanwhile', () => killedMeanwhile(setup)),
  ))

/** Every server of the chain computes each token once, the others none. */
async function twentyTurns({ model, cache, computed }: Setup): Promise<void> {
  const ids = someIds(1, 1500)
  let held = 0
  for (let turn = 0; turn < 20; turn++) {
    const { tokenIds, cachedTokens } = await write(cache, ids)
    assert.equal(cachedTokens, held)
    held = ids.length + tokenIds.length - 1
    ids.push(...tokenIds, ...someIds(turn + 2, 12))
  }
  const tokens = await computed()
  assert.deepEqual(
    [tokens.slice(0, 2).toSorted(), tokens.slice(2).toSorted()],
    [
      [0, held],
      [0, held],
    ],
  )
  const last = await write(cache, ids)
  assert.deepEqual(last.tokenIds, (await model.generate(ids, GREEDY)).tokenIds)
}

async function killedMeanwhile({ swarm, model, cache, computed }: Setup): Promise<void> {
  let route: string[] = []
  const ids = someIds(3, 400)
  const watch = { route: (hops: readonly { peerId: string }[]) => (route = hops.map(({ peerId }) => peerId)) }
  const first = await resultOf(cache.stream(ids, GREEDY, { watch }))
  const [victim, other] = route.map((peerId) => swarm.servers.find((server) => server.peerId === peerId)!)
  victim!.process.kill('SIGKILL')
  await new Promise((resolve) => victim!.process.once('exit', resolve))
  assert.equal(cache.stats.parkedSessions, 1)
  ids.push(...first.tokenIds, ...someIds(4, 30))
  const second = await write(cache, ids)
  assert.equal(second.cachedTokens, 0)
  const held = ids.length + second.tokenIds.length - 1
  const spare = swarm.servers.find((server) => server !== victim && server.blocks === victim!.blocks)!
  assert.deepEqual(await computed([other!, spare]), [held, held])
  assert.deepEqual(second.tokenIds, (await model.generate(ids, GREEDY)).tokenIds)
}

test('what is parked makes way for others and for own requests, at once, and then is computed anew', async () => {
  await withSwarm([[0, 8]], 1024, async ({ swarm, model, cache }) => {
    await using other = await AutoDistributedModelForCausalLM.fromPretrained(DEMO, {
      bootstrap: [swarm.bootstrap],
      threads: 1,
    })
    const prompts = [5, 6, 7].map((seed) => someIds(seed, 350))
    for (const ids of prompts) {
      const { tokenIds } = await write(cache, ids)
      assert.deepEqual(tokenIds, (await model.generate(ids, GREEDY)).tokenIds)
    }
    assert.ok(cache.stats.parkedSessions > 0)
    await using session = other.inferenceSession({ maxLength: 1024, allocTimeoutMs: 0, recoveryTimeoutMs: 0 })
    assert.equal((await session.step(someIds(8, 1000), { rows: 1 })).shape[0], 1)
    await eventually(() => cache.stats.parkedSessions === 0)
    await session.close()
    const again = await write(cache, prompts[2]!)
    assert.equal(again.cachedTokens, 0)
    assert.equal((await write(cache, prompts[2]!)).cachedTokens, 349)
  })
})
