import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConstraintCompiler } from '../../../src/sampling/grammar/compile.ts'
import { seededRandom } from '../../../src/sampling/random.ts'
import { accepts, writeRandomly } from './support.ts'

const SEED = 7
const LETTERS = 'abAB01 _-.\n"\\é日😀'

/** A random pattern of what both sides know. */
function randomPattern(random: () => number, depth = 0): string {
  const pick = <T>(all: readonly T[]): T => all[Math.floor(random() * all.length)]!
  const unit = (): string => {
    if (depth < 3 && random() < 0.3) return `(?:${randomPattern(random, depth + 1)})`
    return pick([
      'a',
      'b',
      'A',
      '0',
      '.',
      '\\d',
      '\\w',
      '\\W',
      '\\s',
      '[ab]',
      '[^a]',
      '[a-zé]',
      '[\\d.-]',
      '"',
      '\\\\',
      '日',
    ])
  }
  const quantified = (): string => unit() + pick(['', '', '', '*', '+', '?', '{2}', '{1,3}', '{2,}', '*?'])
  const sequence = (): string => Array.from({ length: 1 + Math.floor(random() * 3) }, quantified).join('')
  return random() < 0.3 ? `${sequence()}|${sequence()}` : sequence()
}

function randomText(random: () => number): string {
  const letters = [...LETTERS]
  return Array.from({ length: Math.floor(random() * 6) }, () => letters[Math.floor(random() * letters.length)]).join('')
}

test(`patterns mean what RegExp has them mean (seed ${SEED})`, () => {
  const random = seededRandom(SEED)
  let matched = 0
  for (let i = 0; i < 300; i++) {
    const pattern = (random() < 0.3 ? '^' : '') + randomPattern(random) + (random() < 0.3 ? '$' : '')
    const own = new ConstraintCompiler()
    const whole = own.compile({ kind: 'regex', pattern: `(?:${pattern})` })
    const found = own.compile({ kind: 'json_schema', schema: { type: 'string', pattern } })
    for (let j = 0; j < 20; j++) {
      const text = randomText(random)
      const isWhole = new RegExp(`^(?:${pattern})$`, 'u').test(text)
      const isFound = new RegExp(pattern, 'u').test(text)
      matched += Number(isWhole) + Number(isFound)
      const what = `${pattern} and ${JSON.stringify(text)}`
      assert.equal(own.derivatives.after(whole, Buffer.from(text)).nullable, isWhole, `the whole of ${what}`)
      assert.equal(own.derivatives.after(found, Buffer.from(JSON.stringify(text))).nullable, isFound, what)
    }
  }
  assert.ok(matched > 500, `only ${matched} matches`)
})

test('a regex constraint writes what its pattern matches as a whole', () => {
  const pattern = '(\\+\\d{1,3} )?\\(?\\d{3}\\)?[ -]\\d{4}'
  for (let seed = 0; seed < 20; seed++)
    assert.match(writeRandomly({ kind: 'regex', pattern }, seed)!, new RegExp(`^(?:${pattern})$`, 'u'))
})

test('a choice is one of its texts, and no more', () => {
  const constraint = { kind: 'choice', texts: ['yes', 'no', 'not sure'] } as const
  const written = new Set(Array.from({ length: 60 }, (_, seed) => writeRandomly(constraint, seed)))
  assert.deepEqual([...written].sort(), ['no', 'not sure', 'yes'])
  assert.ok(accepts(constraint, 'no'))
  assert.ok(!accepts(constraint, 'not'))
})
