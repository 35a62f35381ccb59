import assert from 'node:assert/strict'
import { test } from 'node:test'
import { deriveSeed, seededRandom } from '../../src/sampling/random.ts'

/** From a program of its own, in whole numbers of unlimited size, by the algorithms' published definitions. */
const KNOWN: [seed: number, numbers: number[]][] = [
  [0, [0.870254774404272, 0.6697971505310978, 0.3616586206733957]],
  [1, [0.3946724931250869, 0.1477500889354657, 0.16688351314326166]],
  [-1, [0.11122081116347982, 0.12938300625619603, 0.014282055722108056]],
  [Number.MAX_SAFE_INTEGER, [0.2871189810310325, 0.1540904543499252, 0.6056109088751621]],
]

for (const [seed, numbers] of KNOWN) {
  test(`seed ${seed} gives the known numbers`, () => {
    const random = seededRandom(seed)
    assert.deepEqual(
      numbers.map(() => random()),
      numbers,
    )
  })
}

test('numbers lie in [0, 1) and fill it evenly', () => {
  const random = seededRandom(7)
  const bins = Array.from({ length: 16 }, () => 0)
  const draws = 32_000
  for (let i = 0; i < draws; i++) {
    const number = random()
    assert.ok(number >= 0 && number < 1)
    bins[Math.floor(number * 16)]!++
  }
  const expected = draws / 16
  const chiSquared = bins.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0)
  assert.ok(chiSquared < 37.7, `chi squared ${chiSquared}, of which 99.9 % lie below 37.7`)
})

test('without a seed, the numbers differ each time', () => {
  assert.notEqual(seededRandom()(), seededRandom()())
})

test('derived seeds are safe integers, repeatable and all different, but for the first, which is the seed', () => {
  const seeds = [0, 1, -5, Number.MAX_SAFE_INTEGER].flatMap((seed) => {
    assert.equal(deriveSeed(seed, 'prompt', 0), seed)
    assert.equal(deriveSeed(seed, 'text', 0), seed)
    const ofPrompts = Array.from({ length: 50 }, (_, i) => deriveSeed(seed, 'prompt', i)!)
    return [
      ...ofPrompts,
      ...ofPrompts.flatMap((each) => Array.from({ length: 5 }, (_, i) => deriveSeed(each, 'text', i + 1)!)),
    ]
  })
  assert.ok(seeds.every(Number.isSafeInteger))
  assert.equal(new Set(seeds).size, seeds.length)
  assert.equal(deriveSeed(7, 'prompt', 3), deriveSeed(7, 'prompt', 3))
  assert.equal(deriveSeed(undefined, 'prompt', 3), undefined)
})
