import assert from 'node:assert/strict'
import { beforeEach, describe, test } from 'node:test'
import { beamSearch } from '../../../src/client/generation/beams/beam-search.ts'
import type { ForkableSource } from '../../../src/client/generation/beams/forkable.ts'
import type { BeforeHead } from '../../../src/client/generation/choosing/token-source.ts'
import { generateContinuations } from '../../../src/client/generation/continuations.ts'
import { generate } from '../../../src/client/generation/generate.ts'
import type { ChoosingHead } from '../../../src/sampling/choosing-head.ts'
import type { ResolvedOptions } from '../../../src/sampling/options/options.ts'
import { BeamsState, TextState } from '../../../src/sampling/text-state.ts'
import { Workspace } from '../../../src/sampling/workspace.ts'
import { collect } from './support.ts'

const VOCAB = 8

/** The hidden state is the sum of all ids; its logits follow from that. */
function logitsOf(hidden: Float32Array): Float32Array {
  return Float32Array.from({ length: VOCAB }, (_, id) => Math.sin(hidden[0]! * 3 + id * 2.1) * 3)
}

/** A head that chooses, and keeps count of what is open. */
class FakeHead implements ChoosingHead {
  readonly open = new Set<object>()
  opened = 0
  chosen = 0
  failure: Error | undefined

  openText(options: ResolvedOptions, ids: readonly number[]) {
    const text = new TextState(options, ids, new Workspace())
    this.#opens(text)
    return {
      choose: async (hidden: Float32Array) => {
        assert.ok(this.open.has(text), 'a text is asked before it is closed')
        this.chosen++
        if (this.failure !== undefined) throw this.failure
        return text.choose(logitsOf(hidden))
      },
      close: () => void this.open.delete(text),
    }
  }

  openBeams(options: ResolvedOptions, ids: readonly number[]) {
    const beams = new BeamsState(options, ids, new Workspace())
    this.#opens(beams)
    return {
      candidates: async (...[hidden, steps]: Parameters<ReturnType<ChoosingHead['openBeams']>['candidates']>) => {
        this.chosen++
        if (this.failure !== undefined) throw this.failure
        return beams.advance(hidden.map(logitsOf), steps)
      },
      close: () => void this.open.delete(beams),
    }
  }

  #opens(state: object): void {
    this.opened++
    this.open.add(state)
  }
}

class SumSource implements ForkableSource {
  readonly beforeHead: BeforeHead | undefined
  readonly #head: FakeHead | undefined
  numLogits = 0
  ids: number[] = []

  constructor(head?: FakeHead) {
    this.#head = head
    this.beforeHead = head && { head, feed: async (ids) => this.#feed(ids) }
  }

  get position(): number {
    return this.ids.length
  }

  set position(position: number) {
    this.ids.length = position
  }

  async next(ids: readonly number[]): Promise<Float32Array> {
    this.numLogits++
    return logitsOf(this.#feed(ids))
  }

  async fork(): Promise<SumSource> {
    const fork = new SumSource(this.#head)
    fork.ids = [...this.ids]
    return fork
  }

  async forkFrom(source: SumSource): Promise<void> {
    this.ids = [...source.ids]
  }

  async close(): Promise<void> {}

  #feed(ids: readonly number[]): Float32Array {
    this.ids.push(...ids)
    return Float32Array.of(this.ids.reduce((sum, id) => sum + id, 0))
  }
}

const OPTIONS = { maxNewTokens: 6, temperature: 1, seed: 5, logprobs: true, repetitionPenalty: 1.2 }
const PROMPT = [1, 2]

let head: FakeHead
let source: SumSource
beforeEach(() => {
  head = new FakeHead()
  source = new SumSource(head)
})

describe('where the head chooses, no logits come here and the texts are the same', () => {
  test('for one text', async () => {
    const { result } = await collect(generate(source, PROMPT, OPTIONS))
    const expected = await collect(generate(new SumSource(), PROMPT, OPTIONS))
    assert.deepEqual([result.tokenIds, result.logprobs], [expected.result.tokenIds, expected.result.logprobs])
    assert.deepEqual([source.numLogits, head.opened, head.chosen, head.open.size], [0, 1, 6, 0])
  })

  test('for several texts of one prompt', async () => {
    const options = { ...OPTIONS, numReturnSequences: 3 }
    const texts = async (from: SumSource) =>
      (await generateContinuations(from, PROMPT, options, () => undefined)).map(({ tokenIds }) => tokenIds)
    assert.deepEqual(await texts(source), await texts(new SumSource()))
    assert.deepEqual([source.numLogits, head.opened, head.open.size], [0, 3, 0])
  })

  test('for beams, drawn or not', async () => {
    for (const options of [
      { ...OPTIONS, numBeams: 3 },
      { maxNewTokens: 5, numBeams: 4, eosTokenIds: [3] },
    ]) {
      const search = async (from: SumSource) =>
        (await beamSearch(from, PROMPT, options)).map(({ tokenIds, score, logprobs }) => [tokenIds, score, logprobs])
      assert.deepEqual(await search(new SumSource(head)), await search(new SumSource()))
    }
    assert.deepEqual([head.opened, head.open.size], [2, 0])
  })
})

test('own logits processors see logits here, and nothing is opened at the head', async () => {
  const seen: number[] = []
  const logitsProcessors = [(logits: Float32Array) => void seen.push(logits.length)]
  await collect(generate(source, PROMPT, { ...OPTIONS, logitsProcessors }))
  assert.deepEqual(seen, Array(6).fill(VOCAB))
  await beamSearch(new SumSource(head), PROMPT, { maxNewTokens: 2, numBeams: 2, logitsProcessors })
  assert.deepEqual([head.opened, source.numLogits], [0, 6])
})

describe('the head forgets a text', () => {
  test('whose reader leaves early', async () => {
    for await (const _ of generate(source, PROMPT, OPTIONS)) break
    assert.deepEqual([head.opened, head.open.size], [1, 0])
  })

  test('that is aborted, before its first token and later', async () => {
    await collect(generate(source, PROMPT, { ...OPTIONS, signal: AbortSignal.abort() }))
    const controller = new AbortController()
    for await (const { tokenIds } of generate(source, PROMPT, { ...OPTIONS, signal: controller.signal }))
      if (tokenIds.length > 0) controller.abort()
    assert.deepEqual([head.opened, head.open.size], [2, 0])
  })

  test('or a search whose step fails', async () => {
    head.failure = new Error('lost')
    await assert.rejects(collect(generate(source, PROMPT, OPTIONS)), /lost/)
    await assert.rejects(beamSearch(source, PROMPT, { maxNewTokens: 3, numBeams: 2 }), /lost/)
    await assert.rejects(
      generateContinuations(source, PROMPT, { ...OPTIONS, numReturnSequences: 2 }, () => undefined),
      /lost/,
    )
    assert.ok(head.opened >= 3)
    assert.equal(head.open.size, 0)
  })

  test('that fails while it waits for its prompt', async () => {
    const broken: ForkableSource = Object.assign(new SumSource(head), {
      beforeHead: { head, feed: () => Promise.reject(new Error('no chain')) },
    })
    await assert.rejects(collect(generate(broken, PROMPT, OPTIONS)), /no chain/)
    await assert.rejects(beamSearch(broken, PROMPT, { maxNewTokens: 3, numBeams: 2 }), /no chain/)
    assert.deepEqual([head.opened, head.open.size], [2, 0])
  })
})
