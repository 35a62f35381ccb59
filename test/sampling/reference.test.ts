import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { ResolvedOptions } from '../../src/sampling/options/options.ts'
import { createSampler } from '../../src/sampling/sampler.ts'
import { processedLogits } from './support.ts'
import { readReference } from './reference.ts'
import { softmax } from '../client/generation/support.ts'

/** Of a probability, and of a logit relative to those around it. */
const TOLERANCE = 1e-5
const DRAWS = 20_000

const { eosTokenIds, logits, processed } = await readReference()
const rows = logits.map((row) => Float32Array.from(row))

function optionsOf(options: object): ResolvedOptions {
  return { maxNewTokens: 20, eosTokenIds, ...options }
}

describe("processed logits are transformers'", () => {
  for (const { options, promptLength, ids, rows: expected } of processed) {
    test(`with ${JSON.stringify(options)} after ${ids.length - promptLength} tokens`, () => {
      const minTokensToKeep = (options.numBeams ?? 1) > 1 ? eosTokenIds.length + 1 : 1
      for (const [r, row] of rows.entries()) {
        const scores = processedLogits(optionsOf(options), { promptLength, minTokensToKeep }, row, ids)
        const actual = options.doSample === true ? softmax(scores) : [...scores]
        for (const [id, value] of actual.entries()) {
          const wanted = expected[r]![id] ?? -Infinity
          const near = value === wanted || Math.abs(value - wanted) <= TOLERANCE * Math.max(1, Math.abs(wanted))
          assert.ok(near, `row ${r}, token ${id}: ${value}, expected ${wanted}`)
        }
      }
    })
  }
})

/**
 * Pearson's statistic over tokens that are expected at least five times, and one bin for all others; with its freedom.
 */
function chiSquared(
  counts: readonly number[],
  probabilities: readonly number[],
): { statistic: number; freedom: number } {
  const bins = probabilities.map((probability, id) => ({ expected: probability * DRAWS, count: counts[id]! }))
  const common = bins.filter(({ expected }) => expected >= 5)
  const rare = bins.filter(({ expected }) => expected < 5)
  const rest = {
    expected: rare.reduce((sum, { expected }) => sum + expected, 0),
    count: rare.reduce((sum, { count }) => sum + count, 0),
  }
  const used = rest.expected >= 5 ? [...common, rest] : common
  if (rest.expected === 0) assert.equal(rest.count, 0, 'tokens that cannot be are never drawn')
  return {
    statistic: used.reduce((sum, { expected, count }) => sum + (count - expected) ** 2 / expected, 0),
    freedom: used.length - 1,
  }
}

describe("draws have transformers' distribution", () => {
  for (const { options, promptLength, ids, rows: expected } of processed) {
    if (options.doSample !== true || (options.numBeams ?? 1) > 1) continue
    test(`with ${JSON.stringify(options)}`, () => {
      for (const [r, row] of rows.entries()) {
        const sample = createSampler(optionsOf({ ...options, seed: 17 + r }), promptLength)
        const counts = Array.from(row, () => 0)
        for (let i = 0; i < DRAWS; i++) counts[sample(row, ids).tokenId]!++
        const { statistic, freedom } = chiSquared(counts, expected[r] as number[])
        // Wilson and Hilferty's approximation, four standard deviations out.
        const spread = 2 / (9 * Math.max(freedom, 1))
        const limit = Math.max(freedom, 1) * (1 - spread + 4 * Math.sqrt(spread)) ** 3
        assert.ok(
          statistic <= limit,
          `row ${r}: chi squared ${statistic} with ${freedom} degrees of freedom, limit ${limit}`,
        )
      }
    })
  }
})
