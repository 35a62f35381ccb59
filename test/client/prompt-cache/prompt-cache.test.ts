import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, test } from 'node:test'
import type { GenerationChunk } from '../../../src/client/generation/result.ts'
import { AutoDistributedModelForCausalLM } from '../../../src/client/model/model.ts'
import type { RouteHop } from '../../../src/client/session/server/route-hop.ts'
import {
  type CachedResult,
  PromptCache,
  type PromptCacheOptions,
} from '../../../src/client/prompt-cache/prompt-cache.ts'
import type { GenerationOptions } from '../../../src/sampling/options/options.ts'
import { fromFloat32 } from '../../../src/tensor/tensor.ts'
import { eventually } from '../../eventually.ts'
import { DEMO, type TestSwarm, startServers } from '../kit.ts'
import { someIds } from './some-ids.ts'

const SPANS = [
  [0, 3],
  [3, 8],
] as const

const GREEDY = { maxNewTokens: 12, eosTokenIds: [], temperature: 0 }

/** A text and its chunks. `onChunk` may end it by returning true. */
async function collect<R>(
  texts: AsyncGenerator<GenerationChunk, R>,
  onChunk: (count: number) => boolean | void = () => false,
): Promise<{ chunks: GenerationChunk[]; result: R | undefined }> {
  const chunks: GenerationChunk[] = []
  for (;;) {
    const next = await texts.next()
    if (next.done === true) return { chunks, result: next.value }
    chunks.push(next.value)
    if (onChunk(chunks.length) === true) {
      await texts.return(undefined as R)
      return { chunks, result: undefined }
    }
  }
}

async function write(cache: PromptCache, ids: readonly number[], options: GenerationOptions = GREEDY) {
  return (await collect(cache.stream(ids, options))).result!
}

/** Chunks without log-probabilities, whose last digits depend on how many tokens were computed at a time. */
function written({ chunks }: { readonly chunks: readonly GenerationChunk[] }): unknown[] {
  return chunks.map(({ tokenIds, text }) => [tokenIds, text])
}

describe('a prompt cache over two servers', () => {
  let swarm: TestSwarm
  let model: AutoDistributedModelForCausalLM
  /** Tokens that each server has computed. */
  const computed = SPANS.map(() => 0)
  const caches: PromptCache[] = []

  before(async () => {
    swarm = await startServers(DEMO, SPANS)
    for (const [i, { server }] of swarm.servers.entries())
      server.engine.on('run', ({ tokens }) => {
        computed[i]! += tokens
      })
    model = await AutoDistributedModelForCausalLM.fromPretrained(DEMO, { bootstrap: swarm.bootstrap, threads: 1 })
  })

  beforeEach(() => computed.fill(0))

  after(async () => {
    for (const cache of caches) await cache.close()
    await model.close()
    await swarm.stop()
  })

  const sessions = (): number[] => swarm.servers.map(({ server }) => server.engine.numSessions)

  function open(options: PromptCacheOptions = {}): PromptCache {
    const cache = new PromptCache(model, options)
    caches.push(cache)
    return cache
  }

  /** What the model gives without a cache, by servers that compute all of it. */
  async function expected(ids: readonly number[], options: GenerationOptions = GREEDY): Promise<CachedResult> {
    const before = [...computed]
    const { result } = await collect(model.stream(ids, options))
    computed.splice(0, computed.length, ...before)
    return { ...result!, cachedTokens: 0 }
  }

  test('a conversation that goes on computes each token once, and says how many it did not', async () => {
    const cache = open()
    const ids = someIds(1, 100)
    let held = 0
    for (let turn = 0; turn < 6; turn++) {
      const options = { ...GREEDY, ...(turn % 2 === 1 && { temperature: 0.9, seed: turn }) }
      const result = await write(cache, [...ids], options)
      assert.equal(result.cachedTokens, held, `turn ${turn}`)
      assert.deepEqual(result.tokenIds, (await expected(ids, options)).tokenIds)
      // The answer's last token is computed with the next turn.
      held = ids.length + result.tokenIds.length - 1
      assert.deepEqual(computed, [held, held])
      ids.push(...result.tokenIds, ...someIds(turn + 2, 9))
    }
  })

  test('chunks and result are those of the model', async () => {
    const cache = open()
    const prompt = 'Fellow-citizens of the Senate and of the House of Representatives'
    const options = { maxNewTokens: 16, stopStrings: ['.'], repetitionPenalty: 1.3, logprobs: true }
    await collect(cache.stream(prompt, options))
    const own = await collect(model.stream(prompt, options))
    const again = await collect(cache.stream(prompt, options))
    assert.deepEqual(written(again), written(own))
    const { seconds, prefillSeconds, cachedTokens, logprobs, ...result } = again.result!
    const { seconds: _, prefillSeconds: __, logprobs: expectedLogprobs, ...expectedResult } = own.result!
    assert.deepEqual(result, expectedResult)
    assert.equal(cachedTokens, result.promptIds.length - 1)
    assert.ok(seconds >= prefillSeconds && prefillSeconds > 0)
    for (const [i, logprob] of logprobs.entries()) assert.ok(Math.abs(logprob - expectedLogprobs[i]!) < 1e-4)
  })

  test('a prompt that comes again computes its last token only', async () => {
    const cache = open()
    const ids = someIds(3, 300)
    const first = await write(cache, ids)
    const second = await write(cache, ids)
    assert.deepEqual(second.tokenIds, first.tokenIds)
    assert.equal(second.cachedTokens, 299)
    assert.deepEqual(computed, [300 + 11 + 12, 300 + 11 + 12])
    const { queries, queryTokens, hitTokens, parkedSessions, parkedTokens } = cache.stats
    assert.deepEqual([queries, queryTokens, hitTokens], [2, 600, 299])
    assert.deepEqual([parkedSessions, parkedTokens], [1, 311])
  })

  test('conversations with a common beginning each go on from their own end', async () => {
    const cache = open()
    const system = someIds(4, 120)
    const talks = [5, 6, 7].map((seed) => [...system, ...someIds(seed, 40)])
    let due = 120
    for (let turn = 0; turn < 2; turn++) {
      for (const [i, ids] of talks.entries()) {
        const { tokenIds, cachedTokens } = await write(cache, ids)
        assert.deepEqual(tokenIds, (await expected(ids)).tokenIds, `turn ${turn} of ${i}`)
        due += turn === 0 ? 40 + 11 : 1 + 10 + 11
        assert.equal(cachedTokens, turn === 0 ? (i === 0 ? 0 : 120) : ids.length - 11)
        talks[i] = [...ids, ...tokenIds, ...someIds(turn + 20 + i, 10)]
      }
    }
    assert.deepEqual(computed, [due, due])
  })

  test('texts of one prompt at the same time have it computed once, and all are right', async () => {
    const cache = open()
    const ids = someIds(8, 200)
    const options = Array.from({ length: 5 }, (_, seed) => ({ ...GREEDY, temperature: 1, seed }))
    const results = await Promise.all(options.map((each) => write(cache, ids, each)))
    for (const [i, { tokenIds, cachedTokens }] of results.entries()) {
      assert.deepEqual(tokenIds, (await expected(ids, options[i])).tokenIds)
      assert.equal(cachedTokens, i === 0 ? 0 : 199)
    }
    const due = 200 + 11 + 4 * 12
    assert.deepEqual(computed, [due, due])
  })

  test('a session that is too short for what comes is copied into a longer one', async () => {
    const cache = open({ sessionTokens: 1 })
    const ids = someIds(9, 100)
    const first = await write(cache, ids)
    const longer = [...ids, ...first.tokenIds, ...someIds(10, 150)]
    const second = await write(cache, longer)
    assert.deepEqual(second.tokenIds, (await expected(longer)).tokenIds)
    assert.equal(second.cachedTokens, 111)
    assert.equal(cache.stats.parkedSessions, 1)
    assert.deepEqual(computed, [111 + 151 + 11, 111 + 151 + 11])
  })

  test('a text that its caller leaves, or ends, goes on where it was left', async () => {
    const cache = open()
    const ids = someIds(11, 150)
    const left = await collect(cache.stream(ids, { ...GREEDY, maxNewTokens: 100 }), (count) => count === 5)
    const begun = [...ids, ...left.chunks.flatMap(({ tokenIds }) => tokenIds)]
    const abort = new AbortController()
    const options = { ...GREEDY, maxNewTokens: 100, signal: abort.signal }
    const ended = await collect(cache.stream(begun, options), (count) => {
      if (count === 5) abort.abort()
    })
    assert.equal(ended.result!.finishReason, 'aborted')
    assert.ok(ended.result!.cachedTokens >= begun.length - 1)
    const next = [...begun, ...ended.result!.tokenIds]
    const { tokenIds, cachedTokens } = await write(cache, next)
    assert.ok(cachedTokens >= next.length - 1)
    assert.deepEqual(tokenIds, (await expected(next)).tokenIds)
  })

  test('a prompt whose request is ended keeps what was computed of it, and no more is computed', async () => {
    const cache = open()
    const ids = someIds(12, 1200)
    const abort = new AbortController()
    const { engine } = swarm.servers[1]!.server
    const onRun = (): void => {
      if (computed[1]! >= 600) abort.abort()
    }
    engine.on('run', onRun)
    const { result } = await collect(cache.stream(ids, { ...GREEDY, signal: abort.signal }))
    engine.off('run', onRun)
    assert.deepEqual([result!.finishReason, result!.tokenIds], ['aborted', []])
    assert.ok(computed[1]! < 1200, `${computed[1]} tokens were computed`)
    const { parkedTokens } = cache.stats
    const { tokenIds, cachedTokens } = await write(cache, ids)
    assert.deepEqual(tokenIds, (await expected(ids)).tokenIds)
    assert.equal(cachedTokens, parkedTokens)
    console.log(`ended after ${computed[1]} tokens, ${cachedTokens} kept`)
  })

  test('sessions of other settings share nothing', async () => {
    const cache = open()
    const ids = someIds(13, 100)
    await write(cache, ids)
    const other = await collect(cache.stream(ids, GREEDY, { wireDType: 'float32' }))
    assert.equal(other.result!.cachedTokens, 0)
    assert.equal((await collect(cache.stream(ids, GREEDY, { wireDType: 'float32' }))).result!.cachedTokens, 99)
    assert.equal((await collect(cache.stream(ids, GREEDY, { scope: 'a' }))).result!.cachedTokens, 0)
    assert.equal((await collect(cache.stream(ids, GREEDY, { scope: 'b' }))).result!.cachedTokens, 0)
    assert.equal((await collect(cache.stream(ids, GREEDY, { scope: 'a' }))).result!.cachedTokens, 99)
  })

  test('tuned prompts before a text are reused with it, and only with it', async () => {
    const cache = open()
    const { hiddenSize } = model.checkpoint.config
    const values = Float32Array.from({ length: 3 * hiddenSize }, (_, i) => Math.sin(i) / 8)
    const prompts = { before: fromFloat32(values, [3, hiddenSize]) }
    const ids = someIds(20, 60)
    await write(cache, ids)
    const first = await collect(cache.stream(ids, GREEDY, { prompts }))
    assert.equal(first.result!.cachedTokens, 0)
    ids.push(...first.result!.tokenIds, ...someIds(21, 10))
    const second = await collect(cache.stream(ids, GREEDY, { prompts }))
    assert.equal(second.result!.cachedTokens, 60 + 11)
    await using session = model.inferenceSession({ maxLength: 128, prompts })
    const fresh = await collect(session.generate(ids, GREEDY))
    assert.deepEqual(second.result!.tokenIds, fresh.result!.tokenIds)
  })

  test('no more stays parked than the bounds allow, the latest first, and no longer', async () => {
    const cache = open({ maxTokens: 400 })
    for (const seed of [14, 15, 16]) await write(cache, someIds(seed, 150))
    assert.deepEqual([cache.stats.parkedSessions, cache.stats.parkedTokens], [2, 322])
    assert.equal((await write(cache, someIds(14, 150))).cachedTokens, 0)
    assert.equal((await write(cache, someIds(16, 150))).cachedTokens, 149)
    const brief = open({ maxAgeMs: 50 })
    await write(brief, someIds(17, 50))
    await eventually(() => brief.stats.parkedSessions === 0)
    assert.equal((await write(brief, someIds(17, 50))).cachedTokens, 0)
  })

  test('a request is told of the chain that it goes through, also where that was there before', async () => {
    const cache = open()
    const blocks: string[] = []
    const watch = { route: (hops: readonly RouteHop[]) => blocks.push(hops.map(({ end }) => end).join()) }
    await collect(cache.stream(someIds(19, 60), GREEDY, { watch }))
    await collect(cache.stream(someIds(19, 60), GREEDY, { watch }))
    await write(cache, someIds(19, 60))
    assert.deepEqual(blocks, ['3,8', '3,8'])
  })

  test('what is closed holds nothing on any server', async () => {
    const cache = open()
    for (const each of caches) await each.close()
    await eventually(() => sessions().every((count) => count === 0))
    const kept = open()
    await write(kept, someIds(18, 50))
    assert.deepEqual(sessions(), [1, 1])
    await kept.close()
    await eventually(() => sessions().every((count) => count === 0))
    await assert.rejects(write(cache, someIds(18, 50)), { code: 'USAGE' })
  })

  test('wrong requests are refused before anything is opened', async () => {
    const cache = open()
    await assert.rejects(write(cache, []), { code: 'USAGE' })
    await assert.rejects(write(cache, [1], { topP: 3 }), { code: 'USAGE' })
    await assert.rejects(write(cache, [1], { maxNewTokens: 1e6 }), { code: 'SESSION_TOO_LONG' })
    assert.throws(() => new PromptCache(model, { maxTokens: 0 }), { code: 'USAGE' })
    assert.equal(cache.stats.parkedSessions, 0)
  })
})
