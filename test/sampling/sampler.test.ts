import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { GenerationOptions } from '../../src/sampling/options/options.ts'
import { type Sampler, createSampler as createSamplerFor } from '../../src/sampling/sampler.ts'
import { softmax } from '../client/generation/support.ts'

function createSampler(options: Omit<GenerationOptions, 'maxNewTokens'>): Sampler {
  return createSamplerFor({ maxNewTokens: 9, ...options }, 0)
}

const LOGITS = Float32Array.of(2, 1, 0.5, 0, -1, 1.5, -3, 1)

/** What the options make of `LOGITS`, by hand. */
const DISTRIBUTIONS: [options: GenerationOptions, probabilities: number[]][] = [
  [{ temperature: 1 }, softmax(LOGITS)],
  [{ temperature: 0.5 }, softmax(LOGITS.map((logit) => logit * 2))],
  [{ temperature: 2 }, softmax(LOGITS.map((logit) => logit / 2))],
  [{ temperature: 1, topK: 2 }, softmax(LOGITS.map((logit) => (logit >= 1.5 ? logit : -Infinity)))],
  [{ temperature: 1, topK: 3 }, softmax(LOGITS.map((logit) => (logit >= 1 ? logit : -Infinity)))],
  // 0.386 and 0.234 do not reach 0.7; 0.142 more does, of token 1.
  [{ temperature: 1, topP: 0.7 }, softmax(LOGITS.map((logit, id) => (logit >= 1.5 || id === 1 ? logit : -Infinity)))],
  // Divided by 0.5 the first two have 0.814 of all: the temperature comes before top-p.
  [{ temperature: 0.5, topP: 0.7 }, softmax(LOGITS.map((logit) => (logit >= 1.5 ? 2 * logit : -Infinity)))],
  // Of the top 2 alone the likeliest has 0.622: top-k comes before top-p.
  [{ temperature: 1, topK: 2, topP: 0.6 }, [1, 0, 0, 0, 0, 0, 0, 0]],
]

const DRAWS = 20_000

for (const [options, probabilities] of DISTRIBUTIONS) {
  test(`draws with ${JSON.stringify(options)} have the exact distribution`, () => {
    const sample = createSampler({ ...options, seed: 42 })
    const counts = Array.from(LOGITS, () => 0)
    for (let i = 0; i < DRAWS; i++) counts[sample(LOGITS, [0]).tokenId]!++
    for (const [id, probability] of probabilities.entries()) {
      const deviation = Math.sqrt(DRAWS * probability * (1 - probability))
      assert.ok(
        Math.abs(counts[id]! - DRAWS * probability) <= 4 * deviation,
        `token ${id}: ${counts[id]} of ${DRAWS}, expected ${DRAWS * probability} +- ${deviation}`,
      )
    }
  })
}

describe('greedy', () => {
  test('is the default, and the lowest id among equals', () => {
    const logits = Float32Array.of(-1, 3, 3, 2, 3)
    for (const options of [{}, { temperature: 0 }, { temperature: 0, topK: 2, topP: 0.1, seed: 1 }]) {
      assert.equal(createSampler(options)(logits, []).tokenId, 1)
    }
  })

  test('finds the last token too', () => {
    assert.equal(createSampler({})(Float32Array.of(-9, -8, -7), []).tokenId, 2)
  })
})

describe('the log-probability', () => {
  test('is that of the raw logits, whatever is done to them for the draw', () => {
    const probabilities = softmax(LOGITS)
    for (const options of [{}, { temperature: 0.3, seed: 1 }, { temperature: 5, topK: 3, topP: 0.9, seed: 2 }]) {
      const sample = createSampler({ ...options, logprobs: true })
      for (let i = 0; i < 20; i++) {
        const { tokenId, logprob } = sample(LOGITS, [])
        assert.ok(Math.abs(logprob! - Math.log(probabilities[tokenId]!)) < 1e-12)
      }
    }
  })

  test('comes with those of the likeliest tokens, lower ids first among equals', () => {
    const logits = Float32Array.of(1, 3, -2, 3, 2)
    const probabilities = softmax(logits)
    for (const topLogprobs of [0, 1, 3, 5, 9]) {
      const { top } = createSampler({ logprobs: true, topLogprobs })(logits, [])
      assert.deepEqual(
        top!.map(({ tokenId }) => tokenId),
        [1, 3, 4, 0, 2].slice(0, topLogprobs),
      )
      for (const { tokenId, logprob } of top!) assert.ok(Math.abs(logprob - Math.log(probabilities[tokenId]!)) < 1e-12)
    }
  })

  test('is exact for large and for impossible logits', () => {
    const { logprob } = createSampler({ logprobs: true })(Float32Array.of(30_000, 29_999, -30_000, -Infinity), [])
    assert.ok(Math.abs(logprob! + Math.log1p(Math.exp(-1))) < 1e-12)
    assert.equal(createSampler({ logprobs: true })(Float32Array.of(-Infinity, -4e38, 3e38), []).logprob, 0)
  })
})

function series(seed?: number): number[] {
  const sample = createSampler({ temperature: 1, seed })
  return Array.from({ length: 100 }, () => sample(LOGITS, []).tokenId)
}

test('one seed gives one series of tokens, another seed another', () => {
  assert.deepEqual(series(5), series(5))
  assert.notDeepEqual(series(5), series(6))
  assert.notDeepEqual(series(), series())
})

test('the logits stay as they are', () => {
  const logits = LOGITS.slice()
  createSampler({ temperature: 0.5, topK: 2, topP: 0.5 })(logits, [])
  assert.deepEqual(logits, LOGITS)
})

const BROKEN: [what: string, logits: Float32Array, message: RegExp][] = [
  ['NaN', Float32Array.of(1, NaN, 2), /^the logit of token 1 is NaN: a server .* non-finite/],
  ['Infinity', Float32Array.of(1, 0, Infinity), /^the logit of token 2 is Infinity: a server .* non-finite/],
  ['nothing but -Infinity', new Float32Array(3).fill(-Infinity), /^none of 3 logits is finite: a server .* non-finite/],
]

for (const [what, logits, message] of BROKEN) {
  test(`${what} among the logits is blamed on a server`, () => {
    for (const options of [{}, { temperature: 0.7, topK: 1 }]) {
      assert.throws(() => createSampler(options)(logits, []), { code: 'LOGITS_NAN', message })
    }
  })
}
