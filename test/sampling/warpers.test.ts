import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { seededRandom } from '../../src/sampling/random.ts'
import { type Warper, temperature, topK, topP } from '../../src/sampling/warpers.ts'
import { warped } from './support.ts'
import { softmax } from '../client/generation/support.ts'

/** The ids that are left; those must have their logit unchanged. */
function kept(processor: Warper, logits: Float32Array): number[] {
  const processed = warped(processor, logits)
  const ids = [...processed.keys()].filter((id) => processed[id] !== -Infinity)
  for (const id of ids) assert.equal(processed[id], logits[id])
  return ids
}

function byLikelihood(logits: Float32Array): number[] {
  return [...logits.keys()].sort((a, b) => logits[b]! - logits[a]! || a - b)
}

function bruteTopK(logits: Float32Array, k: number): number[] {
  const last = logits[byLikelihood(logits)[Math.min(k, logits.length) - 1]!]!
  return [...logits.keys()].filter((id) => logits[id]! >= last)
}

function bruteTopP(logits: Float32Array, p: number): number[] {
  const probabilities = softmax(logits)
  const ids: number[] = []
  let sum = 0
  for (const id of byLikelihood(logits)) {
    if (sum >= p) break
    sum += probabilities[id]!
    ids.push(id)
  }
  return ids.sort((a, b) => a - b)
}

/** Logits of many shapes: flat, peaked, with few distinct values. */
function* cases(): Generator<Float32Array> {
  const random = seededRandom(11)
  for (const size of [1, 2, 3, 7, 64, 500]) {
    for (const scale of [0.1, 3, 30]) {
      yield Float32Array.from({ length: size }, () => (random() - 0.5) * scale)
      yield Float32Array.from({ length: size }, () => Math.floor(random() * 4) * scale)
    }
  }
}

describe('temperature', () => {
  test('gives the distribution of the divided logits', () => {
    const logits = [1, -2, 0.5, 3]
    for (const t of [0.25, 1, 1.7]) {
      const expected = softmax(logits.map((logit) => logit / t))
      const actual = softmax(warped(temperature(t), logits))
      for (const [id, probability] of expected.entries()) assert.ok(Math.abs(actual[id]! - probability) < 1e-6)
    }
  })

  test('a tiny one leaves the likeliest token, a huge one makes all alike', () => {
    assert.deepEqual([...warped(temperature(5e-324), [10, 80, 79])], [-Infinity, 0, -Infinity])
    assert.deepEqual(softmax(warped(temperature(1e300), [10, 80, 79])), [1 / 3, 1 / 3, 1 / 3])
  })

  test('a token that cannot be stays so', () => {
    assert.equal(warped(temperature(2), [-Infinity, 4, 0])[0], -Infinity)
  })
})

describe('top-k', () => {
  test('is what sorting gives', () => {
    for (const logits of cases()) {
      for (const k of [1, 2, 5, 50, 499, 500, 1000]) assert.deepEqual(kept(topK(k), logits), bruteTopK(logits, k))
    }
  })

  test('keeps what is as likely as the k-th', () => {
    assert.deepEqual(kept(topK(2), Float32Array.of(1, 5, 3, 3, 2, 3)), [1, 2, 3, 5])
  })

  test('counts tokens that cannot be, and leaves them out', () => {
    assert.deepEqual(kept(topK(3), Float32Array.of(-Infinity, 2, -Infinity, 1)), [1, 3])
  })
})

describe('top-p', () => {
  test('is what sorting gives', () => {
    for (const logits of cases()) {
      for (const p of [1e-9, 0.123, 0.5017, 0.9003, 0.99991])
        assert.deepEqual(kept(topP(p), logits), bruteTopP(logits, p))
    }
  })

  test('stops as soon as the sum is reached exactly', () => {
    assert.deepEqual(kept(topP(0.5), Float32Array.of(0, 0, 0, 0)), [0, 1])
    assert.deepEqual(kept(topP(0.5), Float32Array.of(1, 1, -Infinity, -Infinity)), [0])
  })

  test('keeps at least the likeliest token', () => {
    assert.deepEqual(kept(topP(5e-324), Float32Array.of(1, 2, 3, 2)), [2])
  })

  test('a p of almost 1 keeps all tokens that can be', () => {
    assert.deepEqual(kept(topP(1 - 2 ** -53), Float32Array.of(0, 1, -Infinity, 0.5)), [0, 1, 3])
  })
})

test('a processor can be used for vocabularies of several sizes in turn', () => {
  const both = [topK(3), topP(0.6)]
  for (const logits of [...cases(), ...cases()]) {
    assert.deepEqual(kept(both[0]!, logits), bruteTopK(logits, 3))
    assert.deepEqual(kept(both[1]!, logits), bruteTopP(logits, 0.6))
  }
})

test('a vocabulary of 128 k with every value twice is cut where it should be', () => {
  const random = seededRandom(3)
  const half = Float32Array.from({ length: 64_128 }, () => (random() - 0.5) * 20)
  const logits = Float32Array.from({ length: 128_256 }, (_, id) => half[id % half.length]!)
  assert.equal(kept(topK(1001), logits).length, 1002)
  assert.deepEqual(kept(topP(0.9001), logits), bruteTopP(logits, 0.9001))
})
