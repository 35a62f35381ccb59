import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import ort from 'onnxruntime-node'
import { Graph } from '../../src/graph/builder.ts'
import { encodeModel } from '../../src/graph/encode.ts'
import { add, reshape, scale } from '../../src/graph/ops.ts'
import { filledLike } from '../../src/graph/primitive-ops.ts'
import { type ExpertGroups, route, type RoutingOptions } from '../../src/graph/routing.ts'
import { randomFloats } from './support.ts'

const TOKENS = 40
const EXPERTS = 8

type Case = Omit<RoutingOptions, 'correction'> & { readonly corrected?: boolean }

/** The weight of each expert for a token, by the definition: 0 for those that were not chosen. */
function weightsOf(logits: readonly number[], correction: readonly number[], options: Case): number[] {
  const { scoring, topK, normalised, factor = 1, groups } = options
  const exponents = logits.map(Math.exp)
  const sum = exponents.reduce((a, b) => a + b)
  const scores = scoring === 'softmax' ? exponents.map((x) => x / sum) : logits.map((x) => 1 / (1 + Math.exp(-x)))
  const merits = options.corrected ? scores.map((x, i) => x + correction[i]!) : scores
  const allowed = groups === undefined ? scores.map(() => true) : allowedBy(merits, groups)
  const chosen = logits
    .map((_, i) => i)
    .filter((i) => allowed[i])
    .sort((a, b) => merits[b]! - merits[a]!)
    .slice(0, topK)
  const total = normalised ? chosen.reduce((a, i) => a + scores[i]!, 0) : 1
  return logits.map((_, i) => (chosen.includes(i) ? (factor * scores[i]!) / total : 0))
}

function allowedBy(merits: readonly number[], { count, chosen, leaders }: ExpertGroups): boolean[] {
  const size = merits.length / count
  const groups = Array.from({ length: count }, (_, group) => {
    const best = merits.slice(group * size, (group + 1) * size).sort((a, b) => b - a)
    return { group, merit: best.slice(0, leaders).reduce((a, b) => a + b) }
  })
  const best = groups.sort((a, b) => b.merit - a.merit).slice(0, chosen)
  return merits.map((_, i) => best.some(({ group }) => group === Math.floor(i / size)))
}

/** What the operator makes of a routing: softmax over the `topK` largest scores, times the total. */
async function routed(logits: Float32Array, correction: Float32Array, options: Case): Promise<number[][]> {
  const g = new Graph('test')
  const bias = g.input('correction', 'float32', [EXPERTS])
  const scores = g.input('logits', 'float32', ['rows', 'tokens', EXPERTS])
  const routing = route(g, scores, { ...options, correction: options.corrected ? bias : undefined }, 'route')
  g.output('scores', scale(g, routing.scores, 1, 'given_scores'))
  g.output('unused', reshape(g, bias, [EXPERTS], 'unused_correction'))
  const total =
    typeof routing.total === 'number'
      ? filledLike(g, add(g, scores, scores, 'sum'), routing.total, 'given_total')
      : reshape(g, routing.total, ['rows', 'tokens', 1], 'given_total')
  g.output('total', total)
  const session = await ort.InferenceSession.create(encodeModel(g, new Map()))
  const results = await session.run({
    logits: new ort.Tensor('float32', logits, [1, TOKENS, EXPERTS]),
    correction: new ort.Tensor('float32', correction, [EXPERTS]),
  })
  const [given, totals] = [results['scores']!.data as Float32Array, results['total']!.data as Float32Array]
  return Array.from({ length: TOKENS }, (_, token) => {
    const own = [...given.subarray(token * EXPERTS, (token + 1) * EXPERTS)]
    const chosen = own
      .map((_, i) => i)
      .sort((a, b) => own[b]! - own[a]!)
      .slice(0, options.topK)
    const parts = own.map((x, i) => (chosen.includes(i) ? Math.exp(x - own[chosen[0]!]!) : 0))
    const sum = parts.reduce((a, b) => a + b)
    return parts.map((x) => (x / sum) * totals[(token * totals.length) / TOKENS]!)
  })
}

describe('a routing of tokens to experts', () => {
  const cases: Record<string, Case> = {
    'softmax over all, shares added up to one': { scoring: 'softmax', topK: 3, normalised: true },
    'softmax over all, shares as they are': { scoring: 'softmax', topK: 3, normalised: false, factor: 2.5 },
    'softmax within the best group': {
      scoring: 'softmax',
      topK: 2,
      normalised: false,
      factor: 16,
      groups: { count: 4, chosen: 2, leaders: 1 },
    },
    'softmax within the best groups, shares added up to one': {
      scoring: 'softmax',
      topK: 4,
      normalised: true,
      groups: { count: 2, chosen: 1, leaders: 1 },
    },
    'sigmoids, corrected for the choice': { scoring: 'sigmoid', topK: 3, normalised: true, factor: 2, corrected: true },
    'sigmoids as they are': { scoring: 'sigmoid', topK: 1, normalised: false },
    'sigmoids within groups of the best two each': {
      scoring: 'sigmoid',
      topK: 3,
      normalised: false,
      factor: 0.5,
      corrected: true,
      groups: { count: 4, chosen: 2, leaders: 2 },
    },
  }
  for (const [what, options] of Object.entries(cases)) {
    it(`weights experts by ${what}`, async () => {
      const logits = randomFloats(5, TOKENS * EXPERTS).map((x) => 4 * x)
      const correction = randomFloats(6, EXPERTS)
      for (const [token, found] of (await routed(logits, correction, options)).entries()) {
        const own = [...logits.subarray(token * EXPERTS, (token + 1) * EXPERTS)]
        for (const [expert, weight] of weightsOf(own, [...correction], options).entries())
          assert.ok(Math.abs(found[expert]! - weight) < 1e-5 * (options.factor ?? 1), `token ${token}: ${found}`)
      }
    })
  }

  it('stays finite where a sigmoid is zero', async () => {
    const logits = new Float32Array(TOKENS * EXPERTS).fill(-200)
    const weights = await routed(logits, new Float32Array(EXPERTS), { scoring: 'sigmoid', topK: 2, normalised: false })
    assert.ok(weights.flat().every((weight) => Math.abs(weight) < 1e-30))
  })
})
