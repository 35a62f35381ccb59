import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type FlowNetwork, minCut } from '../../../src/graph/gradient/min-cut.ts'
import { randomFloats } from '../support.ts'

test('the nodes of least cost through which all flow goes', () => {
  // 0 and 1 flow into 2, which is dear, and from there to 3 and 4.
  const arcs: FlowNetwork['arcs'] = [
    [0, 2],
    [1, 2],
    [2, 3],
    [2, 4],
  ]
  const cut = (costs: number[]) => minCut({ costs, arcs, sources: [0, 1], sinks: [3, 4] })
  assert.deepEqual(cut([2, 2, 3, 2, 2]), [2])
  assert.deepEqual(cut([1, 1, 3, 2, 2]), [0, 1])
  assert.deepEqual(cut([2, 2, 5, 1, 2]), [3, 4])
  assert.deepEqual(cut([2, 2, Infinity, 9, 9]), [0, 1])
  assert.equal(cut(Array<number>(5).fill(Infinity)), undefined)
})

test('of sets of equal cost, the one nearest to the sinks; nothing where nothing flows', () => {
  const chain: FlowNetwork = {
    costs: [1, 1, 1],
    arcs: [
      [0, 1],
      [1, 2],
    ],
    sources: [0],
    sinks: [2],
  }
  assert.deepEqual(minCut(chain), [2])
  assert.deepEqual(minCut({ ...chain, sources: [] }), [])
  assert.deepEqual(minCut({ ...chain, arcs: [[0, 1]] }), [])
})

test('no other set of nodes costs less: 200 random networks, all their sets', () => {
  for (let seed = 0; seed < 200; seed++) {
    const network = randomNetwork(seed)
    const costOf = (nodes: readonly number[]) => nodes.reduce((sum, node) => sum + network.costs[node]!, 0)
    const found = minCut(network)!
    assert.ok(isCut(network, found), `seed ${seed}: ${found.join()} is no cut`)
    const sets = Array.from({ length: 2 ** network.costs.length }, (_, bits) =>
      [...network.costs.keys()].filter((node) => (bits >> node) % 2 === 1),
    )
    const least = Math.min(...sets.filter((set) => isCut(network, set)).map(costOf))
    assert.equal(costOf(found), least, `seed ${seed}`)
  }
})

/** Arcs go from lower to higher numbers. */
function randomNetwork(seed: number): FlowNetwork {
  const random = randomFloats(seed, 100).map((value) => (value + 1) / 2)
  const nodes = [...Array(7).keys()]
  const pairs = nodes.flatMap((from) => nodes.slice(from + 1).map((to) => [from, to] as const))
  return {
    costs: nodes.map((node) => 1 + Math.floor(random[node]! * 9)),
    arcs: pairs.filter((_, i) => random[10 + i]! < 0.4),
    sources: [0, 1],
    sinks: [5, 6],
  }
}

function isCut({ arcs, sources, sinks }: FlowNetwork, cut: readonly number[]): boolean {
  const reached = sources.filter((node) => !cut.includes(node))
  for (const node of reached)
    for (const [from, to] of arcs) if (from === node && !cut.includes(to) && !reached.includes(to)) reached.push(to)
  return !sinks.some((node) => reached.includes(node))
}
