import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { LocalServer, LocalSwarm } from '../../src/cli/process/local-swarm.ts'
import { AutoDistributedModelForCausalLM } from '../../src/client/model/model.ts'
import type { Recovery } from '../../src/client/session/inference-session.ts'
import { inferredTokens } from '../../bench/metrics.ts'
import { startProcesses } from './kit.ts'

const MODEL = new URL('../../models/demo', import.meta.url).pathname
const GOLDEN = new URL('../../models/demo-golden.json', import.meta.url).pathname

interface GoldenText {
  prompt: string
  input_ids: number[]
  greedy_ids: number[]
  text: string
}

/** Tokens that a server has computed for sessions, beside those of its own start. */
async function tokensComputed(server: LocalServer, before: ReadonlyMap<LocalServer, number>): Promise<number> {
  return (await inferredTokens(server.metricsPort!)) - (before.get(server) ?? 0)
}

async function withSwarm(
  run: (swarm: LocalSwarm, model: AutoDistributedModelForCausalLM, golden: GoldenText) => Promise<void>,
): Promise<void> {
  const golden = (JSON.parse(await readFile(GOLDEN, 'utf8')) as { greedy: GoldenText[] }).greedy[0]!
  const swarm = await startProcesses({
    model: MODEL,
    spans: [
      [0, 4],
      [0, 4],
      [4, 8],
      [4, 8],
    ],
    threads: 1,
    extraArgs: ['--attn-cache-tokens', '4096'],
  })
  let model: AutoDistributedModelForCausalLM | undefined
  try {
    model = await AutoDistributedModelForCausalLM.fromPretrained(MODEL, { bootstrap: [swarm.bootstrap], threads: 1 })
    await run(swarm, model, golden)
  } finally {
    for (const { process } of swarm.servers) process.kill('SIGCONT')
    await model?.close()
    await swarm.stop()
  }
}

/** In a 64-token generation kills the holder of one half and, some tokens later, freezes that of the other. */
async function loseBothHalves(killed: 'first' | 'second'): Promise<void> {
  await withSwarm(async (swarm, model, golden) => {
    const recoveries: Recovery[] = []
    let route: string[] = []
    model.on('recovery', (recovery) => recoveries.push(recovery))
    model.on('route', (hops) => {
      route = hops.map(({ peerId }) => peerId)
    })
    const before = new Map(
      await Promise.all(
        swarm.servers.map(async (server) => [server, await inferredTokens(server.metricsPort!)] as const),
      ),
    )
    const serverOf = (peerId: string): LocalServer => swarm.servers.find((server) => server.peerId === peerId)!

    const ids: number[] = []
    const used: LocalServer[] = []
    for await (const { tokenIds } of model.stream(golden.prompt, { maxNewTokens: 64, eosTokenIds: [] })) {
      ids.push(...tokenIds)
      if (used.length === 0) used.push(...route.map(serverOf))
      const [victim, other] = killed === 'first' ? [used[0]!, used[1]!] : [used[1]!, used[0]!]
      if (ids.length === 16) victim.process.kill('SIGKILL')
      if (ids.length === 40) other.process.kill('SIGSTOP')
    }
    assert.deepEqual(ids, golden.greedy_ids.slice(golden.input_ids.length))
    for (const { seconds, replayedTokens, reason } of recoveries) {
      console.log(`recovered in ${seconds.toFixed(2)} s, ${replayedTokens} tokens replayed: ${reason}`)
    }
    assert.equal(recoveries.length, 2)

    const [victim, frozen] = killed === 'first' ? [used[0]!, used[1]!] : [used[1]!, used[0]!]
    const replacements = route.map(serverOf)
    assert.ok(!replacements.includes(victim) && !replacements.includes(frozen))
    // Every position once: what the last token was computed from, the replay included. Nothing twice, on either.
    const positions = golden.greedy_ids.length - 1
    for (const server of replacements) assert.equal(await tokensComputed(server, before), positions)
    // The second victim was healthy through the first failure: it computed each position at most once.
    frozen.process.kill('SIGCONT')
    await sleep(200)
    const byFrozen = await tokensComputed(frozen, before)
    assert.ok(
      byFrozen >= golden.input_ids.length + 39 && byFrozen <= golden.input_ids.length + 42,
      `${byFrozen} tokens`,
    )
  })
}

test('a first half killed and a second half frozen in mid-generation change no token', () => loseBothHalves('first'))

test('a second half killed and a first half frozen in mid-generation change no token', () => loseBothHalves('second'))
