import assert from 'node:assert/strict'
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { AutoDistributedModelForCausalLM } from '../../../src/client/model/model.ts'
import { resultOf } from '../../../src/client/generation/continuations.ts'
import { placeLogprobs } from '../../../src/sampling/token-logprobs.ts'
import { asFloat32 } from '../../../src/tensor/tensor.ts'
import { type TestSwarm, startServers } from '../kit.ts'
import { type Reference, readReference } from '../../sampling/reference.ts'

const FIXTURE = join(import.meta.dirname, '../../fixtures/llama')
const PROMPTS = [
  [5, 9, 12, 77],
  [3, 33],
  [100, 4, 8, 15, 16, 23, 42, 99, 2, 61, 7, 7],
  [64, 65],
]

let swarm: TestSwarm
let model: AutoDistributedModelForCausalLM
let reference: Reference
before(async () => {
  reference = await readReference()
  swarm = await startServers(FIXTURE, [
    [0, 2],
    [2, 3],
  ])
  model = await AutoDistributedModelForCausalLM.fromPretrained(FIXTURE, { bootstrap: swarm.bootstrap, threads: 1 })
})
after(async () => {
  await model.close()
  await swarm.stop()
})

const idsOf = (results: readonly { tokenIds: number[] }[]): number[][] => results.map(({ tokenIds }) => tokenIds)

test("greedy texts with processors are transformers'", async () => {
  for (const { options, promptIds, tokenIds } of reference.texts) {
    assert.deepEqual((await model.generate(promptIds, options)).tokenIds, tokenIds, JSON.stringify(options))
  }
})

test('a prompt that was read goes on in forks as in a session of its own, and its tokens are scored', async () => {
  const promptIds = PROMPTS[2]!
  const options = { maxNewTokens: 6, eosTokenIds: [], logprobs: true }
  const whole = await model.generate(promptIds, options)
  await using session = model.inferenceSession({ maxLength: 40 })
  const fed = await session.read(promptIds, { topLogprobs: 3 })
  await using fork = await session.fork()
  for (const own of [fork, session]) {
    const { tokenIds, logprobs } = await resultOf(own.generateAfter(fed, options))
    assert.deepEqual(tokenIds, whole.tokenIds)
    assert.deepEqual(logprobs, whole.logprobs)
  }
  const logits = await model.forward([promptIds])
  const vocab = logits.shape[2]!
  assert.equal(fed.logprobs.length, promptIds.length - 1)
  for (const [i, { logprob, top }] of fed.logprobs.entries()) {
    const row = asFloat32(logits).subarray(i * vocab, (i + 1) * vocab)
    const expected = placeLogprobs(row, promptIds[i + 1]!, 3)
    assert.ok(Math.abs(logprob - expected.logprob) < 1e-5)
    assert.deepEqual(
      top.map(({ tokenId }) => tokenId),
      expected.top.map(({ tokenId }) => tokenId),
    )
  }
})

describe('a batch of prompts of different lengths', () => {
  test('gives in order what each prompt alone gives, in fewer device runs than steps', async () => {
    let steps = 0,
      runs = 0
    const count = ({ kind, rows }: { kind: string; rows: number }): void => {
      if (kind !== 'decode') return
      steps += rows
      runs++
    }
    const { engine } = swarm.servers[0]!.server
    const options = { maxNewTokens: 30, eosTokenIds: [] }
    const alone = []
    for (const prompt of PROMPTS) alone.push(await model.generate(prompt, options))
    engine.on('run', count)
    const together = await model.generate(PROMPTS, options)
    engine.off('run', count)
    assert.deepEqual(idsOf(together), idsOf(alone))
    assert.deepEqual(
      together.map(({ promptIds }) => promptIds),
      PROMPTS,
    )
    assert.equal(steps, PROMPTS.length * 29)
    assert.ok(runs < steps, `${runs} runs for ${steps} steps`)
  })

  test('draws from one seed, otherwise for each prompt and text', async () => {
    const options = { maxNewTokens: 12, temperature: 2, topK: 0, eosTokenIds: [], seed: 5, numReturnSequences: 2 }
    const same = [PROMPTS[0]!, PROMPTS[0]!]
    const results = idsOf(await model.generate(same, options))
    assert.deepEqual(idsOf(await model.generate(same, options)), results)
    assert.equal(new Set(results.map(String)).size, 4)
    assert.deepEqual((await model.generate(PROMPTS[0]!, { ...options, numReturnSequences: 1 })).tokenIds, results[0])
    assert.notDeepEqual(idsOf(await model.generate(same, { ...options, seed: 6 })), results)
  })

  test('of no prompts at all, or of more than run at once, is possible', async () => {
    const many = Array.from({ length: 40 }, (_, i) => [i + 2])
    const results = await model.generate(many, { maxNewTokens: 2 })
    assert.deepEqual(
      results.map(({ promptIds }) => promptIds),
      many,
    )
  })

  test('ends with its first failure', async () => {
    const prompts = [[5], [500], [6]]
    await assert.rejects(model.generate(prompts, { maxNewTokens: 100, eosTokenIds: [] }), { code: 'TOKEN_ID' })
    let tokens = 0
    const failing = (ids: readonly number[]): boolean => {
      tokens++
      if (ids[0] === 6 && ids.length === 4) throw new Error('own failure')
      return false
    }
    await assert.rejects(
      model.generate(prompts.with(1, [7]), { maxNewTokens: 100, eosTokenIds: [], stoppingCriteria: [failing] }),
      /own failure/,
    )
    assert.ok(tokens < 30, `${tokens} tokens`)
  })

  test('of one prompt is the place for several texts', async () => {
    const options = { maxNewTokens: 3, temperature: 1, numReturnSequences: 3 }
    assert.equal((await model.generate([PROMPTS[0]!], options)).length, 3)
    await assert.rejects(model.generate(PROMPTS[0]!, options), {
      code: 'USAGE',
      message: /^numReturnSequences is 3: give the prompt in a list/,
    })
  })

  test('ends on a signal', async () => {
    const controller = new AbortController()
    const stop = (ids: readonly number[]): boolean => {
      if (ids.length > 20) controller.abort()
      return false
    }
    const results = await model.generate(PROMPTS, {
      maxNewTokens: 100,
      eosTokenIds: [],
      signal: controller.signal,
      stoppingCriteria: [stop],
    })
    assert.ok(results.every(({ finishReason }) => finishReason === 'aborted'))
  })
})

describe('own functions', () => {
  test('a criterion ends the text, and a processor changes it', async () => {
    const seen: number[] = []
    const result = await model.generate(PROMPTS[0]!, {
      maxNewTokens: 20,
      eosTokenIds: [],
      logitsProcessors: [
        (logits, ids) => {
          logits.fill(-Infinity, 0, 64 + ids.length)
        },
      ],
      stoppingCriteria: [() => false, (ids) => seen.push(ids.length) === 5],
    })
    assert.equal(result.finishReason, 'criterion')
    assert.deepEqual(seen, [5, 6, 7, 8, 9])
    assert.equal(result.tokenIds.length, 5)
    result.tokenIds.forEach((id, i) => assert.ok(id >= 64 + 4 + i))
  })

  test('that leave no token are blamed, not a server', async () => {
    const nothing = {
      maxNewTokens: 2,
      logitsProcessors: [
        (logits: Float32Array) => {
          logits.fill(-Infinity)
        },
      ],
    }
    await assert.rejects(model.generate([5], nothing), { code: 'USAGE', message: /leave no token/ })
    const broken = {
      maxNewTokens: 2,
      logitsProcessors: [
        (logits: Float32Array) => {
          logits[3] = NaN
        },
      ],
    }
    await assert.rejects(model.generate([5], broken), { code: 'USAGE', message: /logit of token 3 NaN/ })
  })
})

test('the answer begins with the forced prefix and goes on from it', async () => {
  const prefix = [90, 17, 33]
  const { tokenIds } = await model.generate([5, 6], { maxNewTokens: 8, eosTokenIds: [], forcedPrefixIds: prefix })
  const rest = await model.generate([5, 6, ...prefix], { maxNewTokens: 5, eosTokenIds: [] })
  assert.deepEqual(tokenIds, [...prefix, ...rest.tokenIds])
})

test('in a session, penalties look at what it was fed before', async () => {
  const { options, promptIds, tokenIds } = reference.texts[1]!
  assert.ok(options.repetitionPenalty !== undefined)
  await using session = model.inferenceSession({ maxLength: 128 })
  await session.step([1, 2, 3])
  session.position = 0
  await session.step(promptIds.slice(0, -1))
  assert.deepEqual(session.heldIds, promptIds.slice(0, -1))
  const generation = session.generate(promptIds.slice(-1), options)
  const generated: number[] = []
  for await (const chunk of generation) generated.push(...chunk.tokenIds)
  assert.deepEqual(generated, tokenIds)
  session.position = 2
  await session.step(await model.ends.embed([4]))
  assert.equal(session.heldIds, undefined)
})

describe("a checkpoint's generation_config.json", () => {
  let folder: string
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'petals-generation-'))
    for (const file of ['config.json', 'model.safetensors']) await symlink(join(FIXTURE, file), join(folder, file))
  })
  after(() => rm(folder, { recursive: true }))

  async function withFile<T>(json: object, use: (model: AutoDistributedModelForCausalLM) => Promise<T>): Promise<T> {
    await writeFile(join(folder, 'generation_config.json'), JSON.stringify(json))
    await using own = await AutoDistributedModelForCausalLM.fromPretrained(folder, {
      bootstrap: swarm.bootstrap,
      threads: 1,
    })
    return await use(own)
  }

  test('gives the defaults, and options win', async () => {
    const { promptIds, tokenIds } = reference.texts[1]!
    const plain = await model.generate(promptIds, { maxNewTokens: 24 })
    await withFile(
      { eos_token_id: 1, repetition_penalty: 1.3, max_new_tokens: 24, temperature: 9, do_sample: false },
      async (own) => {
        assert.deepEqual((await own.generate(promptIds)).tokenIds, tokenIds)
        assert.deepEqual((await own.generate(promptIds, { repetitionPenalty: 1 })).tokenIds, plain.tokenIds)
        assert.equal((await own.generate(promptIds, { maxNewTokens: 2 })).tokenIds.length, 2)
      },
    )
  })

  test('makes a model draw', async () => {
    const { promptIds } = reference.texts[0]!
    await withFile({ eos_token_id: [], do_sample: true, temperature: 5.5, top_k: 0 }, async (own) => {
      const [a, b] = await own.generate([promptIds, promptIds], { seed: 1 })
      assert.notDeepEqual(a!.tokenIds, b!.tokenIds)
      assert.equal(a!.tokenIds.length, 20)
      assert.deepEqual((await own.generate(promptIds, { seed: 1 })).tokenIds, a!.tokenIds)
    })
  })

  test('that is malformed is refused with the file and the key, where the value is needed', async () => {
    const { promptIds } = reference.texts[0]!
    await withFile({ top_p: '0.9' }, async (own) => {
      assert.equal((await own.generate(promptIds, { maxNewTokens: 1 })).tokenIds.length, 1)
      await assert.rejects(own.generate(promptIds, { temperature: 1 }), {
        code: 'CHECKPOINT_CONFIG',
        message: /generation_config\.json: top_p must be .* it is "0.9": give topP/,
      })
    })
  })
})
