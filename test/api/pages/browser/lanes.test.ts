import assert from 'node:assert/strict'
import { test } from 'node:test'
import { lanesOf, runsOf, ticksOf } from '../../../../src/api/pages/browser/swarm/lanes.ts'

test('spans share a row where they do not overlap, in as few rows as hold the busiest block', () => {
  assert.deepEqual(lanesOf([]), [])
  assert.deepEqual(lanesOf([span(3, 6), span(0, 3), span(2, 8), span(6, 8)]), [
    [span(0, 3), span(3, 6), span(6, 8)],
    [span(2, 8)],
  ])
  let seed = 11
  const random = (below: number): number => (seed = (seed * 1103515245 + 12345) % 2 ** 31) % below
  for (let round = 0; round < 50; round += 1) {
    const spans = Array.from({ length: 40 }, () => {
      const start = random(70)
      return span(start, start + 1 + random(10))
    })
    const lanes = lanesOf(spans)
    for (const lane of lanes)
      for (const [i, { start }] of lane.entries()) assert.ok(i === 0 || lane[i - 1]!.end <= start)
    const depth = (block: number) => spans.filter(({ start, end }) => start <= block && block < end).length
    assert.equal(lanes.length, Math.max(...Array.from({ length: 80 }, (_, block) => depth(block))))
    assert.equal(lanes.flat().length, spans.length)
  }
})

test('the axis has round marks and its end, none of them too near to another', () => {
  assert.deepEqual(ticksOf(8, 12), [0, 1, 2, 3, 4, 5, 6, 7, 8])
  assert.deepEqual(ticksOf(80, 12), [0, 8, 16, 24, 32, 40, 48, 56, 64, 72, 80])
  assert.deepEqual(ticksOf(1, 12), [0, 1])
  for (let numBlocks = 1; numBlocks < 300; numBlocks += 1) {
    const ticks = ticksOf(numBlocks, 12)
    assert.ok(ticks.length <= 13 && ticks[0] === 0 && ticks.at(-1) === numBlocks)
    assert.deepEqual(
      ticks,
      [...new Set(ticks)].toSorted((a, b) => a - b),
    )
  }
})

test('neighbours that are alike are one', () => {
  assert.deepEqual(runsOf([1, 1, 0, 2, 2]), [
    { start: 0, end: 2, value: 1 },
    { start: 2, end: 3, value: 0 },
    { start: 3, end: 5, value: 2 },
  ])
  assert.deepEqual(runsOf([]), [])
})

function span(start: number, end: number): { start: number; end: number } {
  return { start, end }
}
