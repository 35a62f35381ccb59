import assert from 'node:assert/strict'
import { test } from 'node:test'
import { UsageError } from '../../src/base/errors.ts'
import { closest } from '../../src/cli/closest.ts'
import { type OptionTable, flagOf, readOptions } from '../../src/cli/option-table.ts'

const group = 'Test'
const table = {
  name: { type: 'text', group, description: 'a name' },
  colour: { type: 'text', group, description: 'a colour', default: 'red', choices: ['red', 'green', 'blue'] },
  peer: { type: 'list', group, description: 'peers', default: [] },
  maxRows: { type: 'integer', group, description: 'rows', min: 1, max: 10 },
  ratio: { type: 'number', group, description: 'a share', above: 0, max: 1, default: 1 },
  fast: { type: 'flag', group, description: 'hurry' },
} as const satisfies OptionTable

test('values that were not given are the defaults', () => {
  assert.deepEqual(readOptions(table, {}), { name: undefined, colour: 'red', peer: [], maxRows: undefined, ratio: 1, fast: false })
})

test('values are read as their types say', () => {
  const raw = { name: '5', colour: 'blue', peer: ['a', 'b'], maxRows: '7', ratio: '0.5', fast: true }
  assert.deepEqual(readOptions(table, raw), { ...raw, maxRows: 7, ratio: 0.5 })
  assert.deepEqual(readOptions(table, { peer: 'a' }).peer, ['a'])
})

const refused: [string, Record<string, unknown>, RegExp][] = [
  ['a number that is none', { maxRows: 'abc' }, /^--max-rows abc: expected a whole number from 1 to 10$/],
  ['an empty number', { maxRows: '' }, /--max-rows "": expected a whole number/],
  ['a fraction where a whole number is due', { maxRows: '1.5' }, /--max-rows 1\.5: expected a whole number/],
  ['a number below its range', { maxRows: '-3' }, /--max-rows -3/],
  ['a number above its range', { maxRows: '11' }, /--max-rows 11/],
  ['an infinite number', { ratio: 'Infinity' }, /^--ratio Infinity: expected a number above 0 and at most 1$/],
  ['NaN', { ratio: 'NaN' }, /--ratio NaN/],
  ['a bound that is not included', { ratio: '0' }, /--ratio 0:/],
  ['an option given twice', { name: ['a', 'b'] }, /^--name is given 2 times \(a, b\): give it once$/],
  ['a switch given twice', { fast: [true, true] }, /--fast is given 2 times/],
  ['a switch with a value', { fast: 'yes' }, /^--fast yes: it is a switch and takes no value$/],
  ['something that is no choice', { colour: 'pink' }, /^--colour pink: expected red, green or blue$/],
  ['a text without a value', { name: true }, /^--name needs a value$/],
  ['an unknown option with one like it', { maxRow: '3' }, /^there is no option --max-row: did you mean --max-rows\?$/],
  ['an unknown option with none like it', { zzz: '3' }, /^there is no option --zzz$/],
]

for (const [what, raw, message] of refused) {
  test(`${what} is refused by name and value`, () => {
    assert.throws(() => readOptions(table, raw), (error) => error instanceof UsageError && message.test(error.message))
  })
}

test('a flag is its name in kebab case', () => {
  assert.equal(flagOf('drainTimeout'), '--drain-timeout')
})

test('the closest candidate is the one with the fewest edits, and none if nothing resembles the word', () => {
  assert.equal(closest('serv', ['serve', 'status']), 'serve')
  assert.equal(closest('statsu', ['serve', 'status']), 'status')
  assert.equal(closest('xyzzy', ['serve', 'status']), undefined)
})
