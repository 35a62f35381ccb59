import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { AutoDistributedModelForCausalLM } from '../../../src/client/model/model.ts'
import type { TunedPrompts } from '../../../src/client/tuned/tuned-prompts.ts'
import { type Golden, openGolden } from '../../../src/client/verification/golden.ts'
import { type Tensor, asFloat32, fromFloat32 } from '../../../src/tensor/tensor.ts'
import { type TestSwarm, startServers } from '../kit.ts'

const LLAMA = new URL('../../fixtures/llama', import.meta.url).pathname
/** Ids whose embeddings stand for tuned prompts: what they do is known from a text that begins with them. */
const BEFORE = [9, 77, 3]
const TEXT = [5, 12, 40, 8]

let swarm: TestSwarm
let plain: AutoDistributedModelForCausalLM
let tuned: AutoDistributedModelForCausalLM
let prompts: TunedPrompts
let golden: Golden
before(async () => {
  golden = await openGolden(`${LLAMA}/golden.safetensors`)
  swarm = await startServers(LLAMA, [
    [0, 2],
    [2, 3],
    [0, 3],
  ])
  const options = { bootstrap: swarm.bootstrap, threads: 1 }
  plain = await AutoDistributedModelForCausalLM.fromPretrained(LLAMA, options)
  const embedded = await plain.embed([BEFORE])
  prompts = { before: { ...embedded, shape: embedded.shape.slice(1) } }
  tuned = await AutoDistributedModelForCausalLM.fromPretrained(LLAMA, { ...options, prompts })
})
after(async () => {
  await Promise.all([plain.close(), tuned.close()])
  await swarm.stop()
})

function worst(actual: Tensor, expected: Tensor): number {
  const wanted = asFloat32(expected)
  return asFloat32(actual).reduce((most, value, i) => Math.max(most, Math.abs(value - wanted[i]!)), 0)
}

const OPTIONS = { maxNewTokens: 12, eosTokenIds: [], repetitionPenalty: 1 } as const

describe('prompts that are no words stand before every text', () => {
  test('in generation: the same texts as with words of the same embeddings', async () => {
    const wanted = (await plain.generate([...BEFORE, ...TEXT], OPTIONS)).tokenIds
    const { tokenIds, promptIds } = await tuned.generate(TEXT, OPTIONS)
    assert.deepEqual(tokenIds, wanted)
    assert.deepEqual(promptIds, TEXT)
    const search = { ...OPTIONS, numBeams: 3 }
    assert.deepEqual(
      (await tuned.generate(TEXT, search)).tokenIds,
      (await plain.generate([...BEFORE, ...TEXT], search)).tokenIds,
    )
  })

  test('in whole sequences', async () => {
    const rows = (await plain.forward([[...BEFORE, ...TEXT]])).shape
    const found = await tuned.forward([TEXT])
    assert.deepEqual(found.shape, [1, TEXT.length, rows[2]])
    const all = asFloat32(await plain.forward([[...BEFORE, ...TEXT]])).slice(BEFORE.length * rows[2]!)
    assert.ok(worst(found, fromFloat32(all, found.shape)) < 1e-4)
  })

  test('in sessions, which count tokens without them, are cut back and forked', async () => {
    await using session = tuned.inferenceSession({ maxLength: 8 })
    assert.equal(session.position, 0)
    session.position = 0
    const first = await session.step(TEXT)
    assert.deepEqual(first.shape, [TEXT.length, tuned.ends.hiddenSize])
    assert.deepEqual([session.position, session.heldIds], [TEXT.length, TEXT])
    await using fork = await session.fork(2)
    assert.equal(fork.position, 2)
    const rest = await fork.step(TEXT.slice(2))
    assert.ok(worst(rest, fromFloat32(asFloat32(first).slice(2 * tuned.ends.hiddenSize), rest.shape)) < 1e-4)
    session.position = 0
    assert.ok(worst(await session.step(TEXT), first) < 1e-4)
    await session.step([1, 2, 3, 4])
    await assert.rejects(session.step([1]), { code: 'SESSION_OVERFLOW' })
    await assert.rejects(fork.step(fromFloat32(new Float32Array(4), [1, 4])), { code: 'TENSOR_SHAPE' })
    await using other = tuned.inferenceSession({ maxLength: 8 })
    await assert.rejects(other.step(fromFloat32(new Float32Array(4), [1, 4])), { code: 'TENSOR_SHAPE' })
  })

  test('with what is added inside of the blocks', async () => {
    const deep = golden.tensors.get('deep_prompts')!
    const [, ...width] = golden.tensors.get('block0_input')!.shape
    const ids = golden.inputIds[0]!
    const embedded = await plain.embed([ids.slice(0, deep.shape[1])])
    const own = { before: { ...embedded, shape: embedded.shape.slice(1) }, deep }
    await using session = plain.inferenceSession({ maxLength: width[0]!, prompts: own })
    const hidden = await session.step(ids.slice(deep.shape[1]))
    const logits = await plain.ends.head(asFloat32(hidden).slice())
    const wanted = asFloat32(golden.tensors.get('logits_with_deep_prompts')!)
    const from = deep.shape[1]! * plain.ends.vocabSize
    for (const [i, value] of logits.entries()) assert.ok(Math.abs(value - wanted[from + i]!) < 1e-3)
  })

  test('prompts of another model are refused', async () => {
    const wrong: TunedPrompts[] = [
      { ...prompts, modelKey: 'another' },
      { before: fromFloat32(new Float32Array(8), [2, 4]) },
      { ...prompts, deep: fromFloat32(new Float32Array(tuned.ends.hiddenSize), [1, 1, tuned.ends.hiddenSize]) },
    ]
    const options = { bootstrap: swarm.bootstrap, threads: 1 }
    for (const each of wrong) {
      assert.throws(() => plain.inferenceSession({ maxLength: 4, prompts: each }), { code: 'PROMPTS_MISFIT' })
      await assert.rejects(AutoDistributedModelForCausalLM.fromPretrained(LLAMA, { ...options, prompts: each }), {
        code: 'PROMPTS_MISFIT',
      })
    }
  })

  test('a server that is lost in mid-text changes no token', async () => {
    const wanted = (await plain.generate([...BEFORE, ...TEXT], OPTIONS)).tokenIds
    const ids: number[] = []
    let route: string[] = []
    let numRecoveries = 0
    tuned.on('route', (links) => {
      route = links.map(({ peerId }) => peerId)
    })
    tuned.on('recovery', () => numRecoveries++)
    for await (const { tokenIds } of tuned.stream(TEXT, OPTIONS)) {
      ids.push(...tokenIds)
      if (ids.length !== 4) continue
      const victim = swarm.servers.find(({ node }) => node.peerId === route[0])!
      await victim.server.stop()
      await victim.node.stop()
    }
    assert.deepEqual(ids, wanted)
    assert.ok(numRecoveries >= 1)
  })
})
