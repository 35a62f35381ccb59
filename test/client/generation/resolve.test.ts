import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Checkpoint } from '../../../src/checkpoint/checkpoint.ts'
import type { GenerationFileOptions } from '../../../src/checkpoint/config/generation-options.ts'
import { type GenerationOptions, isSampling } from '../../../src/sampling/options/options.ts'
import { resolveOptions, resolveStreamOptions } from '../../../src/client/generation/resolve.ts'

const PROMPT = 10

function checkpoint(options: GenerationFileOptions): Pick<Checkpoint, 'generation' | 'config'> {
  return {
    generation: { eosTokenIds: [1, 7], bosTokenId: 0, maxPositions: 100, options },
    config: { vocabSize: 64 } as Checkpoint['config'],
  }
}

const resolve = (options: GenerationOptions, file: GenerationFileOptions = {}) =>
  resolveOptions(options, checkpoint(file), PROMPT)

describe('drawing', () => {
  const CASES: [
    what: string,
    options: GenerationOptions,
    file: GenerationFileOptions,
    sampled: { temperature?: number; topK: number } | 'greedy',
  ][] = [
    ['nothing is greedy', {}, {}, 'greedy'],
    ["the model's do_sample draws", {}, { doSample: true, temperature: 0.6 }, { temperature: 0.6, topK: 50 }],
    ["a model's temperature alone does not", {}, { temperature: 0.6, topK: 3 }, 'greedy'],
    [
      "do_sample false is greedy whatever the model's temperature is",
      {},
      { doSample: false, temperature: 0.6 },
      'greedy',
    ],
    ['a temperature draws', { temperature: 0.8 }, {}, { temperature: 0.8, topK: 50 }],
    [
      'a temperature draws where the model says no',
      { temperature: 0.8 },
      { doSample: false, temperature: 0.6 },
      { temperature: 0.8, topK: 50 },
    ],
    [
      'temperature 0 is greedy where the model draws',
      { temperature: 0 },
      { doSample: true, temperature: 0.6 },
      'greedy',
    ],
    [
      "doSample true draws at the model's temperature",
      { doSample: true },
      { temperature: 0.6, topK: 0 },
      { temperature: 0.6, topK: 0 },
    ],
    ['doSample true draws at none', { doSample: true }, {}, { topK: 50 }],
    [
      'doSample false is greedy whatever the temperature is',
      { doSample: false, temperature: 2 },
      { doSample: true },
      'greedy',
    ],
    ["topK wins over the model's", { temperature: 1, topK: 0 }, { topK: 7 }, { temperature: 1, topK: 0 }],
    ['undefined is no option', { temperature: undefined, topK: undefined }, { doSample: true, topK: 7 }, { topK: 7 }],
  ]
  for (const [what, options, file, sampled] of CASES) {
    test(what, () => {
      const resolved = resolve(options, file)
      assert.equal(isSampling(resolved), sampled !== 'greedy')
      if (sampled === 'greedy') return
      assert.deepEqual([resolved.temperature, resolved.topK], [sampled.temperature, sampled.topK])
    })
  }
})

describe('the length of the answer', () => {
  const CASES: [options: GenerationOptions, file: GenerationFileOptions, maxNewTokens: number][] = [
    [{}, {}, 20],
    [{ maxNewTokens: 5 }, { maxNewTokens: 9, maxLength: 50 }, 5],
    [{ maxLength: 12 }, { maxNewTokens: 9 }, 2],
    [{ maxLength: 12, maxNewTokens: 7 }, {}, 7],
    [{}, { maxNewTokens: 9, maxLength: 50 }, 9],
    [{}, { maxLength: 50 }, 40],
    [{}, { maxLength: 5000 }, 90],
    [{}, { maxNewTokens: 5000 }, 90],
  ]
  for (const [options, file, maxNewTokens] of CASES) {
    test(`is ${maxNewTokens} with ${JSON.stringify(options)} over ${JSON.stringify(file)}`, () => {
      assert.equal(resolve(options, file).maxNewTokens, maxNewTokens)
    })
  }

  test('a limit that the prompt alone reaches is refused', () => {
    assert.throws(() => resolve({ maxLength: 10 }), {
      code: 'USAGE',
      message: /^maxLength is 10 tokens, .* has 10: give/,
    })
    assert.throws(() => resolve({}, { maxLength: 4 }), {
      code: 'USAGE',
      message: /generation_config\.json\) is 4 tokens/,
    })
  })

  test("a caller's least length takes the place of the model's", () => {
    const resolved = resolve({ minLength: 12 }, { minNewTokens: 50, minLength: 3 })
    assert.deepEqual([resolved.minLength, resolved.minNewTokens], [12, undefined])
  })
})

test("EOS ids are the model's unless given", () => {
  assert.deepEqual(resolve({}).eosTokenIds, [1, 7])
  assert.deepEqual(resolve({ eosTokenIds: [] }).eosTokenIds, [])
})

test('resolving twice changes nothing', () => {
  const files: GenerationFileOptions[] = [
    {},
    { doSample: true, temperature: 0.6, maxLength: 40, minNewTokens: 3, numReturnSequences: 3 },
  ]
  for (const file of files) {
    for (const options of [{}, { temperature: 0 }, { temperature: 1, minLength: 4 }, { doSample: true }]) {
      const once = resolve(options, file)
      assert.deepEqual(resolve(once, file), once)
    }
  }
})

describe('several texts', () => {
  test('are drawn, or the best beams', () => {
    assert.equal(resolve({ temperature: 1, numReturnSequences: 5 }).numReturnSequences, 5)
    assert.equal(resolve({ numBeams: 4, numReturnSequences: 4 }).numReturnSequences, 4)
    assert.equal(resolve({ temperature: 0 }, { doSample: true, numReturnSequences: 3 }).numReturnSequences, 1)
    assert.throws(() => resolve({ numReturnSequences: 2 }), {
      code: 'USAGE',
      message: /^numReturnSequences is 2, but the likeliest/,
    })
    assert.throws(() => resolve({ numBeams: 2, numReturnSequences: 3 }), {
      code: 'USAGE',
      message: /^numReturnSequences is 3, but numBeams 2/,
    })
  })

  test("are no stream; the model's defaults do not count there", () => {
    const file = checkpoint({ doSample: true, numBeams: 4, numReturnSequences: 4 })
    const { numBeams, numReturnSequences } = resolveStreamOptions({}, file, PROMPT)
    assert.deepEqual([numBeams, numReturnSequences], [1, 1])
    assert.throws(() => resolveStreamOptions({ numBeams: 2 }, file, PROMPT), {
      code: 'USAGE',
      message: /^numBeams is 2: a stream/,
    })
  })
})

describe('a token that the vocabulary does not have is refused by name', () => {
  const CASES: GenerationOptions[] = [
    { logitBias: { 64: 1 } },
    { sequenceBias: [[[3, 64], 1]] },
    { badWordsIds: [[2], [64, 3]] },
    { forcedPrefixIds: [1, 64] },
    { forcedBosTokenId: 64 },
    { forcedEosTokenId: 64 },
    { forcedEosTokenId: [1, 64] },
  ]
  for (const options of CASES) {
    const [name] = Object.keys(options)
    test(JSON.stringify(options), () => {
      assert.throws(() => resolve(options), {
        code: 'USAGE',
        message: `${name} names token 64: the model has tokens 0 to 63`,
      })
    })
  }
})

describe("a value of the model's own that cannot be used", () => {
  const PROBLEMS = [
    { option: 'topK', message: '/g.json: top_k must be a whole number; it is "5"' },
    { option: 'lengthPenalty', message: '/g.json: length_penalty must be a number; it is "a"' },
  ] as const
  const withProblems = (options: GenerationOptions, problems: (typeof PROBLEMS)[number][] = [...PROBLEMS]) => {
    const { generation, config } = checkpoint({})
    return resolveOptions(options, { generation: { ...generation, problems }, config }, PROMPT)
  }

  test('matters only where it would be used', () => {
    assert.equal(withProblems({}).doSample, false)
    assert.equal(withProblems({ temperature: 1, topK: 3 }).topK, 3)
    assert.throws(() => withProblems({ temperature: 1 }), {
      code: 'CHECKPOINT_CONFIG',
      message: '/g.json: top_k must be a whole number; it is "5": give topK, or repair the file',
    })
    assert.throws(() => withProblems({ numBeams: 2 }), { code: 'CHECKPOINT_CONFIG', message: /length_penalty/ })
  })

  test('is replaced by another limit of the same length', () => {
    const { generation, config } = checkpoint({})
    const own = { ...generation, problems: [{ option: 'maxLength', message: 'max_length' }] as const }
    assert.throws(() => resolveOptions({}, { generation: own, config }, PROMPT), { code: 'CHECKPOINT_CONFIG' })
    assert.equal(resolveOptions({ maxNewTokens: 3 }, { generation: own, config }, PROMPT).maxNewTokens, 3)
  })
})
