import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { beamSearch } from '../../../../src/client/generation/beams/beam-search.ts'
import { generateContinuations } from '../../../../src/client/generation/continuations.ts'
import type { ForkableSource } from '../../../../src/client/generation/beams/forkable.ts'
import type { GenerationResult } from '../../../../src/client/generation/result.ts'
import type { GenerationOptions } from '../../../../src/sampling/options/options.ts'
import { AutoDistributedModelForCausalLM } from '../../../../src/client/model/model.ts'
import { DEMO, type TestSwarm, startServers } from '../../kit.ts'
import { eventually } from '../../../eventually.ts'
import { softmax } from '../support.ts'

interface Reference {
  readonly model: 'llama' | 'demo'
  readonly options: GenerationOptions
  readonly promptIds: number[]
  readonly sequences: readonly { readonly tokenIds: number[]; readonly score: number }[]
}

const FIXTURES = join(import.meta.dirname, '../../../fixtures')
const FOLDERS = { llama: join(FIXTURES, 'llama'), demo: DEMO }

function assertSequences(results: readonly GenerationResult[], { sequences, options }: Reference): void {
  const what = JSON.stringify(options)
  assert.deepEqual(
    results.map(({ tokenIds }) => tokenIds),
    sequences.map(({ tokenIds }) => tokenIds),
    what,
  )
  for (const [i, { score }] of sequences.entries()) {
    assert.ok(
      Math.abs(results[i]!.score! - score) < 1e-3 * Math.max(1, Math.abs(score)),
      `${what}: score ${results[i]!.score}, expected ${score}`,
    )
  }
}

for (const [name, spans] of [
  [
    'llama',
    [
      [0, 2],
      [2, 3],
    ],
  ],
  ['demo', [[0, 8]]],
] as const) {
  describe(`beam search over the ${name} checkpoint, servers: ${spans.length}`, () => {
    let swarm: TestSwarm
    let model: AutoDistributedModelForCausalLM
    before(async () => {
      swarm = await startServers(FOLDERS[name], spans)
      model = await AutoDistributedModelForCausalLM.fromPretrained(FOLDERS[name], {
        bootstrap: swarm.bootstrap,
        threads: 1,
      })
    })
    after(async () => {
      await model.close()
      await swarm.stop()
    })

    test("gives transformers' sequences and scores", async () => {
      const all = JSON.parse(await readFile(join(FIXTURES, 'beams.json'), 'utf8')) as Reference[]
      for (const reference of all.filter((each) => each.model === name)) {
        assertSequences(await model.generate([reference.promptIds], reference.options), reference)
      }
    })

    test('gives every session back', async () => {
      await model.generate([3, 4, 5], { numBeams: 4, maxNewTokens: 5 })
      await eventually(() => swarm.servers.every(({ server }) => server.engine.numSessions === 0))
    })

    test('texts drawn for one prompt are computed behind one prefill', async () => {
      let tokens = 0
      const { engine } = swarm.servers.at(-1)!.server
      const count = (run: { tokens: number }): void => {
        tokens += run.tokens
      }
      engine.on('run', count)
      const options = { numReturnSequences: 5, maxNewTokens: 6, temperature: 1.5, topK: 0, seed: 7, eosTokenIds: [] }
      const prompt = Array.from({ length: 40 }, (_, i) => i + 2)
      const results = await model.generate([prompt], options)
      engine.off('run', count)
      assert.equal(tokens, 40 + 5 * 5)
      assert.deepEqual(
        results[0]!.tokenIds,
        (await model.generate(prompt, { ...options, numReturnSequences: 1 })).tokenIds,
      )
      assert.equal(new Set(results.map(({ tokenIds }) => String(tokenIds))).size, 5)
    })
  })
}

/** A model whose next token depends on all before it; its state is what it was fed. Keeps what happens to it. */
class HashSource implements ForkableSource {
  readonly events: string[]
  ids: number[] = []
  isBusy = false
  isClosed = false

  constructor(events: string[]) {
    this.events = events
  }

  get position(): number {
    return this.ids.length
  }

  set position(position: number) {
    assert.ok(position <= this.ids.length)
    this.ids.length = position
  }

  static logits(ids: readonly number[]): Float32Array {
    let state = ids.reduce((hash, id) => (hash * 31 + id + 1) % 65_521, 7)
    return Float32Array.from({ length: 12 }, () => {
      state = (state * 75) % 65_537
      return state / 8192
    })
  }

  async next(ids: readonly number[]): Promise<Float32Array> {
    this.events.push(`feed ${ids.length}`)
    await this.#exclusively(async () => {
      this.ids.push(...ids)
    })
    return HashSource.logits(this.ids)
  }

  async fork(): Promise<HashSource> {
    const fork = new HashSource(this.events)
    await fork.forkFrom(this)
    return fork
  }

  async forkFrom(source: HashSource): Promise<void> {
    assert.ok(!source.isBusy, 'a source is read while it changes')
    this.events.push('fork')
    const { ids } = source
    await this.#exclusively(async () => {
      assert.equal(source.ids, ids, 'a source changed while it was read')
      this.ids = [...ids]
    })
  }

  async close(): Promise<void> {
    assert.ok(!this.isBusy)
    this.isClosed = true
    this.events.push('close')
  }

  async #exclusively(work: () => Promise<void>): Promise<void> {
    assert.ok(!this.isBusy && !this.isClosed)
    this.isBusy = true
    await new Promise((resolve) => {
      setImmediate(resolve)
    })
    await work()
    this.isBusy = false
  }
}

const PROMPT = [3, 1, 4]
const OPTIONS = { numBeams: 3, maxNewTokens: 4, eosTokenIds: [] }

/** The best of all answers of so many tokens, by trying each. */
function best(length: number): { tokenIds: number[]; score: number } {
  let answers = [{ tokenIds: [] as number[], score: 0 }]
  for (let i = 0; i < length; i++) {
    answers = answers.flatMap(({ tokenIds, score }) =>
      softmax(HashSource.logits([...PROMPT, ...tokenIds])).map((probability, id) => ({
        tokenIds: [...tokenIds, id],
        score: score + Math.log(probability),
      })),
    )
  }
  return answers.reduce((a, b) => (a.score >= b.score ? a : b))
}

test('with as many beams as there are answers, the best answer of all is found', async () => {
  const expected = best(3)
  const [found] = await beamSearch(new HashSource([]), PROMPT, { numBeams: 144, maxNewTokens: 3, lengthPenalty: 0 })
  assert.deepEqual(found!.tokenIds, expected.tokenIds)
  assert.ok(Math.abs(found!.score! - expected.score) < 1e-5)
})

test('the prompt is fed once, each beam one token per step, and its forks are closed', async () => {
  const source = new HashSource([])
  const results = await beamSearch(source, PROMPT, { ...OPTIONS, numReturnSequences: 3, logprobs: true })
  const count = (event: string): number => source.events.filter((each) => each === event).length
  assert.deepEqual([count('feed 3'), count('feed 1'), count('close')], [1, 9, 2])
  assert.deepEqual(source.ids, PROMPT)
  for (const { tokenIds, logprobs } of results) {
    const wanted = tokenIds.map((id, i) =>
      Math.log(softmax(HashSource.logits([...PROMPT, ...tokenIds.slice(0, i)]))[id]!),
    )
    logprobs.forEach((logprob, i) => assert.ok(Math.abs(logprob - wanted[i]!) < 1e-4))
  }
})

test("processors see each beam's own tokens, behind what the source held", async () => {
  const source: ForkableSource & { heldIds?: readonly number[] } = new HashSource([])
  source.heldIds = [9, 9]
  const seen: number[][] = []
  const logitsProcessors = [
    (_: Float32Array, ids: readonly number[]): void => {
      seen.push([...ids])
    },
  ]
  const [found] = await beamSearch(source, PROMPT, { ...OPTIONS, logitsProcessors })
  assert.deepEqual(seen[0], [9, 9, ...PROMPT])
  assert.equal(seen.length, 10)
  assert.ok(seen.some((ids) => String(ids) === String([9, 9, ...PROMPT, ...found!.tokenIds.slice(0, 3)])))
})

async function decode(ids: readonly number[]): Promise<string> {
  return ids.map((id) => 'abcdefghijkl'[id]!).join('')
}

test('a criterion ends beams of its own, and a stop string cuts the text', async () => {
  const [unstopped] = await beamSearch(new HashSource([]), PROMPT, { ...OPTIONS, maxNewTokens: 6 }, decode)
  const stop = unstopped!.text.slice(1, 3)
  const stopped = await beamSearch(
    new HashSource([]),
    PROMPT,
    { ...OPTIONS, maxNewTokens: 6, lengthPenalty: 0, stopStrings: [stop], numReturnSequences: 3 },
    decode,
  )
  const hit = stopped.find(({ finishReason }) => finishReason === 'stop')!
  assert.equal(await decode(hit.tokenIds), hit.text + stop)
  const ended = await beamSearch(new HashSource([]), PROMPT, {
    ...OPTIONS,
    stoppingCriteria: [(ids) => ids.length === 5],
  })
  assert.deepEqual(
    ended.map(({ tokenIds, finishReason }) => [tokenIds.length, finishReason]),
    [[2, 'criterion']],
  )
})

test('an aborted search gives what it has and closes its forks', async () => {
  const source = new HashSource([])
  const abort = new AbortController()
  const stoppingCriteria = [
    (ids: readonly number[]): boolean => {
      if (ids.length === 5) abort.abort()
      return false
    },
  ]
  const results = await beamSearch(source, PROMPT, {
    ...OPTIONS,
    numReturnSequences: 2,
    stoppingCriteria,
    signal: abort.signal,
  })
  assert.deepEqual(
    results.map(({ tokenIds, finishReason }) => [tokenIds.length, finishReason]),
    [
      [2, 'aborted'],
      [2, 'aborted'],
    ],
  )
  const [none] = await beamSearch(new HashSource([]), PROMPT, { ...OPTIONS, signal: AbortSignal.abort() })
  assert.deepEqual([none!.tokenIds, none!.finishReason], [[], 'aborted'])
  assert.equal(source.events.filter((event) => event === 'close').length, 2)
})

test('a failure ends the search once nothing is under way, and closes its forks', async () => {
  const source = new HashSource([])
  const logitsProcessors = [
    (_: Float32Array, ids: readonly number[]): void => {
      if (ids.length === 5) throw new Error('mine')
    },
  ]
  await assert.rejects(beamSearch(source, PROMPT, { ...OPTIONS, logitsProcessors }), /mine/)
  assert.equal(source.events.filter((event) => event === 'close').length, 2)
  await assert.rejects(beamSearch(source, [], OPTIONS), { code: 'USAGE' })
  await assert.rejects(beamSearch(source, PROMPT, { ...OPTIONS, stopStrings: ['x'] }), { code: 'USAGE' })
})

async function draw(seed: number): Promise<number[][]> {
  const options = { ...OPTIONS, numReturnSequences: 3, temperature: 2, seed }
  return (await beamSearch(new HashSource([]), PROMPT, options)).map(({ tokenIds }) => tokenIds)
}

test('drawn beams follow from the seed', async () => {
  assert.deepEqual(await draw(1), await draw(1))
  assert.notDeepEqual(await draw(1), await draw(2))
})

test('more texts than sessions are drawn in turn, behind one prefill', async () => {
  const source = new HashSource([])
  const results = await generateContinuations(
    source,
    PROMPT,
    { numReturnSequences: 40, maxNewTokens: 3, temperature: 1, seed: 1 },
    () => undefined,
  )
  assert.deepEqual(
    results.map(({ tokenIds }) => tokenIds.length),
    Array(40).fill(3),
  )
  const count = (event: string): number => source.events.filter((each) => each === event).length
  assert.deepEqual([count('feed 3'), count('feed 1'), count('fork'), count('close')], [1, 80, 15, 15])
})
