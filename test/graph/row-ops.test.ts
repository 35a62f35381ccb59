import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Graph } from '../../src/graph/builder.ts'
import { expertOrder } from '../../src/graph/row-ops.ts'
import { doubles } from './gradient/doubles.ts'
import { runOnRuntime, withOutputs } from './gradient/check.ts'

describe('expertOrder', () => {
  it("sorts tokens' rows by their experts, and back, where some experts have none", async () => {
    const choices = [4, 1, 1, 0, 4, 2]
    const g = new Graph('order')
    const chosen = g.input('chosen', 'int64', ['rows', 'tokens', 2])
    const { counts, experts, fromTokens, toTokens } = expertOrder(g, chosen, 6)
    const outputs = new Map(Object.entries({ counts, experts, from: fromTokens.from, back: fromTokens.back }))
    const found = await runOnRuntime(
      withOutputs(g, outputs),
      new Map([['chosen', doubles([1, 3, 2], (i) => choices[i]!)]]),
    )
    assert.deepEqual([...found.get('counts')!.data], [1, 2, 1, 0, 2, 0])
    assert.deepEqual([...found.get('experts')!.data], [0, 1, 1, 2, 4, 4])
    // Token 1 has experts 1 and 0, token 0 has 4 and 1, token 2 has 4 and 2.
    assert.deepEqual([...found.get('from')!.data], [1, 0, 1, 2, 0, 2])
    assert.deepEqual([...found.get('back')!.data], [4, 1, 2, 0, 5, 3])
    assert.deepEqual([fromTokens.times, toTokens.times], [2, 1])
    assert.deepEqual([toTokens.from, toTokens.back.dtype], [fromTokens.back, 'int64'])
  })
})
