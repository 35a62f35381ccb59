import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { AutoDistributedModelForCausalLM } from '../../../src/client/model/model.ts'
import type { Recovery } from '../../../src/client/session/inference-session.ts'
import { asFloat32 } from '../../../src/tensor/tensor.ts'
import { DEMO, type GoldenText, type TestSwarm, goldenTexts, startServers } from '../kit.ts'

const LENGTH = { maxNewTokens: 64, eosTokenIds: [] }

function continuation({ input_ids: prompt, greedy_ids: ids }: GoldenText): number[] {
  return ids.slice(prompt.length)
}

describe('a model over three servers', () => {
  let swarm: TestSwarm
  let model: AutoDistributedModelForCausalLM
  let golden: GoldenText[]
  before(async () => {
    golden = await goldenTexts()
    swarm = await startServers(
      DEMO,
      [
        [0, 3],
        [3, 6],
        [6, 8],
      ],
      { prefillChunkTokens: 7 },
    )
    model = await AutoDistributedModelForCausalLM.fromPretrained(DEMO, { bootstrap: swarm.bootstrap, threads: 1 })
  })
  after(async () => {
    await model.close()
    await swarm.stop()
  })

  test("greedy texts are the reference's, token by token", async () => {
    for (const text of golden) {
      const result = await model.generate(text.prompt, LENGTH)
      assert.deepEqual(result.tokenIds, continuation(text))
      assert.equal(text.prompt + result.text, text.text)
    }
  })

  test('sixteen sessions at once give what one alone gives, in fewer device runs than steps', async () => {
    let steps = 0,
      runs = 0
    const { engine } = swarm.servers[0]!.server
    const count = ({ kind, rows }: { kind: string; rows: number }): void => {
      if (kind !== 'decode') return
      steps += rows
      runs++
    }
    engine.on('run', count)
    const texts = Array.from({ length: 16 }, (_, i) => golden[i % golden.length]!)
    const results = await Promise.all(texts.map((text) => model.generate(text.prompt, { ...LENGTH, maxNewTokens: 24 })))
    engine.off('run', count)
    results.forEach((result, i) => assert.deepEqual(result.tokenIds, continuation(texts[i]!).slice(0, 24)))
    assert.equal(steps, 16 * 23)
    assert.ok(runs < steps / 1.5, `${runs} runs for ${steps} steps`)
  })

  test('a prompt sent in pieces of any size gives the same text', async () => {
    const text = golden[0]!
    for (const size of [1, 7, 64]) {
      const session = model.inferenceSession({ maxLength: 79 })
      const prompt = text.input_ids
      for (let at = 0; at + size < prompt.length; at += size) await session.step(prompt.slice(at, at + size))
      const generation = session.generate(prompt.slice(session.position), { ...LENGTH, maxNewTokens: 16 })
      const ids: number[] = []
      for await (const { tokenIds } of generation) ids.push(...tokenIds)
      assert.deepEqual(ids, continuation(text).slice(0, 16))
      await session.close()
    }
  })

  test('a session cut back goes on from there, also when the cut lies in the prompt', async () => {
    const [text, other] = golden as [GoldenText, GoldenText]
    const session = model.inferenceSession({ maxLength: 128 })
    await session.step(text.input_ids.slice(0, 9))
    await session.step(other.input_ids)
    session.position = 9
    const first = await session.next(text.input_ids.slice(9))
    assert.equal(first.indexOf(Math.max(...first)), text.greedy_ids[text.input_ids.length])
    assert.throws(
      () => {
        session.position = 100
      },
      { code: 'SESSION_POSITION' },
    )
    await session.close()
  })

  test('hidden states may be fed in place of ids', async () => {
    const ids = golden[0]!.input_ids
    const [a, b] = [model.inferenceSession({ maxLength: 32 }), model.inferenceSession({ maxLength: 32 })]
    assert.deepEqual(asFloat32(await a.step(ids)), asFloat32(await b.step(await model.ends.embed(ids))))
    await Promise.all([a.close(), b.close()])
  })

  test('what cannot be is refused before anything is sent', async () => {
    await assert.rejects(model.generate('x', { maxNewTokens: 0 }), { code: 'USAGE' })
    await assert.rejects(model.generate([5, 4096], { maxNewTokens: 1 }), { code: 'TOKEN_ID' })
    const session = model.inferenceSession({ maxLength: 4 })
    await assert.rejects(session.step([1, 2, 3, 4, 5]), { code: 'SESSION_OVERFLOW' })
    await session.close()
    assert.throws(() => model.inferenceSession({ maxLength: 4096 }), { code: 'SESSION_TOO_LONG' })
  })
})

test('a full server makes a session wait, and says so where the wait was too long', async () => {
  const swarm = await startServers(DEMO, [[0, 8]], { cacheTokens: 128 })
  const model = await AutoDistributedModelForCausalLM.fromPretrained(DEMO, { bootstrap: swarm.bootstrap, threads: 1 })
  try {
    const holder = model.inferenceSession({ maxLength: 100 })
    await holder.step([1])
    const impatient = model.inferenceSession({ maxLength: 100, allocTimeoutMs: 100 })
    await assert.rejects(
      impatient.step([1]),
      (error: Error & { code: string }) => error.code === 'CACHE_FULL' && /0 of 128/.test(error.message),
    )
    const patient = model.inferenceSession({ maxLength: 100, allocTimeoutMs: 10_000 })
    const waiting = patient.step([1])
    await holder.close()
    await waiting
    await patient.close()
  } finally {
    await model.close()
    await swarm.stop()
  }
})

test('a lost span whose inputs nobody holds any more is recomputed from the span before', async () => {
  const [text] = (await goldenTexts()) as [GoldenText]
  const swarm = await startServers(DEMO, [
    [0, 3],
    [3, 6],
    [6, 8],
    [3, 6],
  ])
  const model = await AutoDistributedModelForCausalLM.fromPretrained(DEMO, { bootstrap: swarm.bootstrap, threads: 1 })
  try {
    const recoveries: Recovery[] = []
    model.on('recovery', (recovery) => recoveries.push(recovery))
    const session = model.inferenceSession({ maxLength: 79 })
    let route: string[] = []
    let copies: { drop(): void }[] = []
    session.blocks.on('route', (hops) => {
      route = hops.map(({ peerId }) => peerId)
      copies = session.blocks.links.slice(1).map(({ inputs }) => inputs)
    })
    const ids: number[] = []
    let computedBySpanBefore = 0
    swarm.servers[0]!.server.engine.on('run', ({ tokens }) => {
      computedBySpanBefore += tokens
    })
    for await (const { tokenIds } of session.generate(text.input_ids, LENGTH)) {
      ids.push(...tokenIds)
      // Long enough for the copies to have come and been given up by the servers.
      if (ids.length === 20) {
        await sleep(800)
        for (const each of copies) each.drop()
      }
      if (ids.length === 26) await swarm.servers.find(({ node }) => node.peerId === route[1])!.node.stop()
    }
    assert.deepEqual(ids, continuation(text))
    assert.equal(recoveries.length, 1)
    const heldThen = text.input_ids.length + 25
    assert.ok(recoveries[0]!.replayedTokens >= 2 * heldThen, 'by the new server, and by the one before it')
    assert.ok(computedBySpanBefore >= text.greedy_ids.length - 1 + heldThen, `${computedBySpanBefore} tokens`)
    await session.close()
  } finally {
    await model.close()
    await swarm.stop()
  }
})
