import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AutoDistributedModelForCausalLM } from '../../src/client/model/model.ts'
import type { Recovery } from '../../src/client/session/inference-session.ts'
import type { RouteHop } from '../../src/client/session/server/route-hop.ts'
import { asFloat32 } from '../../src/tensor/tensor.ts'
import { encodeActivations, widen } from '../../src/tensor/travel.ts'
import { startProcesses } from './kit.ts'

const MODEL = new URL('../../models/demo', import.meta.url).pathname
const PROMPT = 'The state of the Union is'
const TOKENS = 40

/** Which of the two servers that hold a text is killed in the middle of it. */
const KILLED = { bfloat16: 0, int8: 1 } as const

/** The relative difference, by the Euclidean norm. */
function distance(found: Float32Array, exact: Float32Array): number {
  const difference = found.reduce((sum, value, i) => sum + (value - exact[i]!) ** 2, 0)
  return Math.sqrt(difference / exact.reduce((sum, value) => sum + value ** 2, 0))
}

test('a text whose server is killed is the one that the same form gives without that', async (t) => {
  const swarm = await startProcesses({
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
  const plain = await AutoDistributedModelForCausalLM.fromPretrained(MODEL, {
    bootstrap: [swarm.bootstrap],
    threads: 1,
  })
  t.after(() => plain.close())
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
    // A pass goes in the form, too: its outputs are values of it, near those of float32.
    const embedded = await model.embed([[5, 17, 3]])
    const passed = await model.layers.forward(embedded)
    assert.deepEqual(widen(await encodeActivations(passed, wireDType)), passed)
    const exact = asFloat32(await plain.layers.forward(embedded))
    assert.ok(distance(asFloat32(passed), exact) < 0.02)
    assert.ok(distance(asFloat32(passed), exact) > 1e-4)
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
