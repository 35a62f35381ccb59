import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { generate } from '../../../src/client/generation/generate.ts'
import type { TokenSource } from '../../../src/client/generation/choosing/token-source.ts'
import type { TextStream } from '../../../src/client/generation/text/text-output.ts'
import type { ResolvedOptions } from '../../../src/sampling/options/options.ts'
import { BigramSource, ScriptSource, collect, logitsFor, softmax } from './support.ts'

/** Greedy: 0 -> 1 -> 2 -> 3 -> 0 ... */
const ROWS = [
  Float32Array.of(0, 2, 1, -1),
  Float32Array.of(1, 0, 3, 0),
  Float32Array.of(0, 0.5, 0, 1),
  Float32Array.of(1, 0.9, 0, 0),
]

const VOCABULARY = ['a', 'b', 'ST', 'OP', '<eos>', 'é']

/** Gives each id its text; keeps what it is asked to decode. */
class FakeText implements TextStream {
  readonly pushed: number[] = []
  flushes = 0

  async push(ids: readonly number[]): Promise<string> {
    this.pushed.push(...ids)
    return ids.map((id) => VOCABULARY[id]).join('')
  }

  async flush(): Promise<string> {
    this.flushes++
    return ''
  }
}

function run(script: readonly number[], options: Partial<ResolvedOptions>, promptIds: readonly number[] = [0]) {
  const source = new ScriptSource(script, VOCABULARY.length)
  const text = new FakeText()
  const generation = generate(source, promptIds, { maxNewTokens: script.length, ...options }, text)
  return { source, text, generation }
}

async function draws(seed: number): Promise<number[]> {
  const options = { maxNewTokens: 4000, temperature: 1, topK: 2, seed }
  return (await collect(generate(new BigramSource(ROWS), [0], options))).result.tokenIds
}

describe('over a bigram table', () => {
  test("greedy follows the table, with the table's log-probabilities", async () => {
    const source = new BigramSource(ROWS)
    const { chunks, result } = await collect(generate(source, [3, 0], { maxNewTokens: 5, logprobs: true }))
    assert.deepEqual(result.promptIds, [3, 0])
    assert.deepEqual(result.tokenIds, [1, 2, 3, 0, 1])
    assert.equal(result.finishReason, 'length')
    assert.equal(result.text, '')
    const path = [0, ...result.tokenIds]
    assert.equal(result.logprobs.length, 5)
    for (const [i, logprob] of result.logprobs.entries()) {
      assert.ok(Math.abs(logprob - Math.log(softmax(ROWS[path[i]!]!)[path[i + 1]!]!)) < 1e-12)
    }
    assert.deepEqual(
      chunks,
      result.tokenIds.map((id, i) => ({
        tokenIds: [id],
        text: '',
        logprobs: [{ logprob: result.logprobs[i], top: [] }],
      })),
    )
    assert.deepEqual(source.fed, [[3, 0], [1], [2], [3], [0]], 'the prompt, then each token but the last')
  })

  test('draws follow the table and the seed', async () => {
    const tokenIds = await draws(1)
    assert.deepEqual(tokenIds, await draws(1))
    assert.notDeepEqual(tokenIds, await draws(2))
    const afterZero = tokenIds.filter((_, i) => tokenIds[i - 1] === 0)
    const [one] = softmax([2, 1])
    const deviation = Math.sqrt(afterZero.length * one! * (1 - one!))
    assert.ok(afterZero.every((id) => id === 1 || id === 2))
    assert.ok(Math.abs(afterZero.filter((id) => id === 1).length - afterZero.length * one!) < 4 * deviation)
  })

  test('times are measured', async () => {
    const source: TokenSource = {
      next: async ([id]) => {
        await new Promise((resolve) => {
          setTimeout(resolve, id === 0 ? 40 : 10)
        })
        return ROWS[id!]!
      },
    }
    const {
      result: { seconds, prefillSeconds },
    } = await collect(generate(source, [0], { maxNewTokens: 2 }))
    assert.ok(prefillSeconds >= 0.038 && seconds >= prefillSeconds + 0.009, `${prefillSeconds} of ${seconds} s`)
  })
})

describe('the end of a text', () => {
  test('an EOS is a token without text, and is not fed', async () => {
    const { source, text, generation } = run([0, 1, 4, 0], { eosTokenIds: [9, 4] })
    const { chunks, result } = await collect(generation)
    assert.deepEqual(result.tokenIds, [0, 1, 4])
    assert.deepEqual(result.logprobs, [])
    assert.equal(result.text, 'ab')
    assert.equal(result.finishReason, 'eos')
    assert.deepEqual(
      chunks.map((chunk) => chunk.text),
      ['a', 'b', ''],
    )
    assert.deepEqual(source.fed, [[0], [0], [1]])
    assert.deepEqual(text.pushed, [0, 1])
  })

  test('an EOS lets out what was held back for a stop string', async () => {
    const { chunks, result } = await collect(run([0, 2, 4], { eosTokenIds: [4], stopStrings: ['STOP'] }).generation)
    assert.deepEqual(
      chunks.map((chunk) => chunk.text),
      ['a', '', 'ST'],
    )
    assert.equal(result.text, 'aST')
    assert.equal(result.finishReason, 'eos')
  })

  test('without EOS ids, an EOS is a token as any other', async () => {
    for (const eosTokenIds of [[], undefined]) {
      const { result } = await collect(run([0, 4, 1], { eosTokenIds }).generation)
      assert.equal(result.text, 'a<eos>b')
      assert.equal(result.finishReason, 'length')
    }
  })

  test('a stop string across tokens ends the text before it, and the token that completes it is not fed', async () => {
    const { source, generation } = run([0, 2, 3, 1, 1], { stopStrings: ['zzz', 'STOP'] })
    const { chunks, result } = await collect(generation)
    assert.deepEqual(result.tokenIds, [0, 2, 3])
    assert.equal(result.text, 'a')
    assert.equal(result.finishReason, 'stop')
    assert.deepEqual(
      chunks.map((chunk) => chunk.text),
      ['a', '', ''],
    )
    assert.deepEqual(source.fed, [[0], [0], [2]])
  })

  test('a beginning of a stop string comes out once it goes on otherwise, or at the end', async () => {
    const { chunks, result } = await collect(run([2, 0, 2], { stopStrings: ['STOP'] }).generation)
    assert.deepEqual(
      chunks.map((chunk) => chunk.text),
      ['', 'STa', 'ST'],
    )
    assert.equal(result.text, 'STaST')
    assert.equal(result.finishReason, 'length')
  })

  test('a stop string in the last token allowed is a stop', async () => {
    const { result } = await collect(run([0, 2, 3], { stopStrings: ['STOP'] }).generation)
    assert.equal(result.finishReason, 'stop')
  })

  test('a stopping criterion ends it after the token it was asked about, which is not fed', async () => {
    const asked: [ids: readonly number[], text: string | undefined][] = []
    const ends = (ids: readonly number[], text?: string): boolean => {
      asked.push([[...ids], text])
      return text === 'abb'
    }
    const { source, generation } = run([0, 1, 1, 0, 0], { stoppingCriteria: [ends] }, [5])
    const { result } = await collect(generation)
    assert.deepEqual([result.finishReason, result.tokenIds, result.text], ['criterion', [0, 1, 1], 'abb'])
    assert.deepEqual(asked, [
      [[5, 0], 'a'],
      [[5, 0, 1], 'ab'],
      [[5, 0, 1, 1], 'abb'],
    ])
    assert.deepEqual(source.fed, [[5], [0], [1]])
  })

  test('an EOS and a stop string come before a criterion, and a criterion before the length', async () => {
    const always = { stoppingCriteria: [() => true] }
    assert.equal((await collect(run([4], { ...always, eosTokenIds: [4] }).generation)).result.finishReason, 'eos')
    assert.equal((await collect(run([0], { ...always, stopStrings: ['a'] }).generation)).result.finishReason, 'stop')
    assert.equal((await collect(run([0], always).generation)).result.finishReason, 'criterion')
  })

  test('a criterion of a model without a tokenizer sees ids alone', async () => {
    const texts: unknown[] = []
    const stoppingCriteria = [(_: readonly number[], text?: string) => texts.push(text) === 2]
    await collect(generate(new ScriptSource([0, 0, 0], 6), [0], { maxNewTokens: 3, stoppingCriteria }))
    assert.deepEqual(texts, [undefined, undefined])
  })

  test('the time that is up ends it after a token', async () => {
    const { source, generation } = run([0, 1, 1], { maxTimeMs: 1e-6 })
    const { result } = await collect(generation)
    assert.deepEqual([result.finishReason, result.tokenIds], ['time', [0]])
    assert.deepEqual(source.fed, [[0]])
    assert.equal((await collect(run([0, 1, 1], { maxTimeMs: 60_000 }).generation)).result.finishReason, 'length')
  })

  test('a single token feeds nothing but the prompt', async () => {
    const { source, generation } = run([1], {}, [0, 5])
    assert.equal((await collect(generation)).result.text, 'b')
    assert.deepEqual(source.fed, [[0, 5]])
  })
})

test('processors see what the source holds before the prompt, which is not fed again', async () => {
  const seen: number[][] = []
  const source = Object.assign(new ScriptSource([1, 2], 6), { heldIds: [3, 4] })
  const options = {
    maxNewTokens: 2,
    minLength: 6,
    logitsProcessors: [
      (_: Float32Array, ids: readonly number[]) => {
        seen.push([...ids])
      },
    ],
  }
  const { result } = await collect(generate(source, [5], options))
  assert.deepEqual(seen, [
    [3, 4, 5],
    [3, 4, 5, 1],
  ])
  assert.deepEqual([result.promptIds, result.tokenIds, source.fed], [[5], [1, 2], [[5], [1]]])
})

describe('a signal', () => {
  test('that is aborted from the start feeds nothing', async () => {
    const { source, generation } = run([0, 1], { signal: AbortSignal.abort() })
    const { chunks, result } = await collect(generation)
    assert.deepEqual(chunks, [])
    assert.deepEqual(source.fed, [])
    assert.deepEqual([result.finishReason, result.tokenIds, result.text, result.prefillSeconds], ['aborted', [], '', 0])
  })

  for (const stopStrings of [[], ['STOP']]) {
    test(`ends the text after the step under way, ${stopStrings.length} stop strings`, async () => {
      const controller = new AbortController()
      const { source, generation } = run([0, 2, 1, 0, 0, 0], { signal: controller.signal, stopStrings })
      await generation.next()
      await generation.next()
      controller.abort()
      const { result } = await collect(generation)
      assert.equal(result.finishReason, 'aborted')
      assert.deepEqual(result.tokenIds, [0, 2, 1])
      assert.equal(result.text, 'aSTb')
      assert.equal(source.fed.length, result.tokenIds.length, 'the last token is not fed')
    })
  }

  test('turns the failure of the step under way into the end of the text, with what was held back', async () => {
    const controller = new AbortController()
    const source: TokenSource = {
      next: ([id]) =>
        id === 2
          ? new Promise((_, reject) => {
              controller.signal.addEventListener('abort', () => reject(new Error('closed')))
            })
          : Promise.resolve(logitsFor(2, VOCABULARY.length)),
    }
    const options = { maxNewTokens: 9, stopStrings: ['STOP'], signal: controller.signal }
    const generation = generate(source, [0], options, new FakeText())
    assert.deepEqual(await generation.next(), { done: false, value: { tokenIds: [2], text: '' } })
    controller.abort()
    const { chunks, result } = await collect(generation)
    assert.deepEqual(chunks, [{ tokenIds: [], text: 'ST' }])
    assert.deepEqual([result.finishReason, result.tokenIds, result.text], ['aborted', [2], 'ST'])
  })
})

/** A tokenizer that does not answer before it is let go. */
function slowText() {
  const gate = Promise.withResolvers<string>()
  const text: TextStream = { push: () => gate.promise, flush: () => Promise.resolve('') }
  return { gate, text }
}

describe('the next step and the text', () => {
  test('the next step does not wait for the text', async () => {
    const { gate, text } = slowText()
    const source = new ScriptSource([0, 1], 6)
    const first = generate(source, [0], { maxNewTokens: 2 }, text).next()
    while (source.fed.length < 2) await turn()
    assert.deepEqual(source.fed, [[0], [0]])
    gate.resolve('x')
    assert.deepEqual((await first).value, { tokenIds: [0], text: 'x' })
  })

  test('with stop strings it does', async () => {
    const { gate, text } = slowText()
    const source = new ScriptSource([0, 1], 6)
    const first = generate(source, [0], { maxNewTokens: 2, stopStrings: ['!'] }, text).next()
    await turn()
    assert.deepEqual(source.fed, [[0]])
    gate.resolve('x')
    await first
    assert.deepEqual(source.fed, [[0], [0]])
  })
})

describe('failures', () => {
  test('of a step are thrown, also while the text is awaited', async () => {
    const { gate, text } = slowText()
    const source: TokenSource = {
      next: async ([id]) => {
        if (id === 1) throw new Error('the chain broke')
        return logitsFor(1, 6)
      },
    }
    const generation = generate(source, [0], { maxNewTokens: 3 }, text)
    const first = generation.next()
    await turn()
    gate.resolve('b')
    assert.deepEqual((await first).value, { tokenIds: [1], text: 'b' })
    await assert.rejects(generation.next(), { message: 'the chain broke' })
  })

  test('of the tokenizer are thrown once the step under way is over', async () => {
    const { promise, resolve } = Promise.withResolvers<Float32Array>()
    const source: TokenSource = { next: ([id]) => (id === 1 ? promise : Promise.resolve(logitsFor(1, 6))) }
    const text: TextStream = {
      push: () => Promise.reject(new Error('the tokenizer broke')),
      flush: () => Promise.resolve(''),
    }
    let settled = false
    const first = generate(source, [0], { maxNewTokens: 3 }, text)
      .next()
      .finally(() => {
        settled = true
      })
    first.catch(() => undefined)
    await turn()
    assert.equal(settled, false)
    resolve(logitsFor(0, 6))
    await assert.rejects(first, { message: 'the tokenizer broke' })
  })

  test('leaving early waits for the step under way and starts no other', async () => {
    const { source, generation } = run([0, 1, 0, 1], {})
    for await (const { tokenIds } of generation) if (tokenIds[0] === 1) break
    assert.deepEqual(source.fed, [[0], [0], [1]])
    assert.deepEqual(await generation.next(), { done: true, value: undefined })
  })

  test('non-finite logits are thrown', async () => {
    const source: TokenSource = { next: async () => Float32Array.of(0, NaN) }
    await assert.rejects(generate(source, [0], { maxNewTokens: 1 }).next(), { code: 'LOGITS_NAN' })
  })

  const REFUSED: [what: string, promptIds: number[], options: ResolvedOptions, message: RegExp][] = [
    ['an empty prompt', [], { maxNewTokens: 1 }, /^the prompt has no tokens/],
    ['a bad option', [0], { maxNewTokens: 0 }, /^maxNewTokens is 0/],
    ['stop strings without a tokenizer', [0], { maxNewTokens: 1, stopStrings: ['a'] }, /^stopStrings need/],
  ]
  for (const [what, promptIds, options, message] of REFUSED) {
    test(`${what} is refused before anything is fed`, async () => {
      const source = new ScriptSource([0], 6)
      await assert.rejects(generate(source, promptIds, options).next(), { code: 'USAGE', message })
      assert.deepEqual(source.fed, [])
    })
  }
})
