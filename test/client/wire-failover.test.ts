import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startLocalSwarm } from '../../src/cli/process/local-swarm.ts'
import { AutoDistributedModelForCausalLM } from '../../src/client/model/model.ts'
import type { Recovery } from '../../src/client/session/inference-session.ts'
import type { RouteHop } from '../../src/client/session/route-hop.ts'

const MODEL = new URL('../../models/demo', import.meta.url).pathname
const PROMPT = 'The state of the Union is'
const TOKENS = 40

/** Which of the two servers that hold a text is killed in the middle of it. */
const KILLED = { bfloat16: 0, int8: 1 } as const

test('a text whose server is killed is the one that the same form gives without that', async (t) => {
  const swarm = await startLocalSwarm({
    model: MODEL,
    spans: [
      [0, 4],
      [0, 4],
      [4, 8],
      [4, 8],
    ],
    threads: 1,
    extraArgs: ['--attn-cache-tokens', '2048'],
  })
  t.after(() => swarm.stop())
  for (const wireDType of ['bfloat16', 'int8'] as const) {
    const model = await AutoDistributedModelForCausalLM.fromPretrained(MODEL, {
      bootstrap: [swarm.bootstrap],
      threads: 1,
      wireDType,
    })
    t.after(() => model.close())
    let route: readonly RouteHop[] = []
    const recoveries: Recovery[] = []
    model.on('recovery', (recovery) => recoveries.push(recovery))
    model.on('route', (hops) => {
      route = hops
    })
    const write = async (onToken: (count: number) => void): Promise<number[]> => {
      const ids: number[] = []
      for await (const { tokenIds } of model.stream(PROMPT, { maxNewTokens: TOKENS, eosTokenIds: [] })) {
        ids.push(...tokenIds)
        if (tokenIds.length > 0) onToken(ids.length)
      }
      return ids
    }
    const undisturbed = await write(() => undefined)
    assert.deepEqual(
      route.map((server) => server.wireDType),
      [wireDType, wireDType],
    )
    const disturbed = await write((count) => {
      const { peerId } = route[KILLED[wireDType]]!
      if (count === 20) swarm.servers.find((server) => server.peerId === peerId)!.process.kill('SIGKILL')
    })
    assert.equal(undisturbed.length, TOKENS)
    assert.deepEqual(disturbed, undisturbed, wireDType)
    assert.deepEqual(
      recoveries.map(({ lost, arithmeticChanged }) => [lost.length, arithmeticChanged]),
      [[1, false]],
    )
  }
})
