import assert from 'node:assert/strict'
import { test } from 'node:test'
import { UsageError } from '../../../src/base/errors.ts'
import { closest } from '../../../src/base/closest.ts'
import { type OptionTable, flagOf, nameOfKey, variableOf } from '../../../src/cli/options/option-table.ts'
import { fromFlags } from '../../../src/cli/options/flags.ts'
import { readOptions } from '../../../src/cli/options/read-options.ts'

const group = 'Test'
const table = {
  name: { type: 'text', group, description: 'a name' },
  colour: { type: 'text', group, description: 'a colour', default: 'red', choices: ['red', 'green', 'blue'] },
  peer: { type: 'list', group, description: 'peers', default: [] },
  maxRows: { type: 'integer', group, description: 'rows', min: 1, max: 10 },
  ratio: { type: 'number', group, description: 'a share', above: 0, max: 1, default: 1 },
  fast: { type: 'flag', group, description: 'hurry' },
  space: { type: 'size', group, description: 'room' },
} as const satisfies OptionTable

function readFlags(raw: Record<string, unknown>) {
  return readOptions(table, fromFlags(table, raw))
}

test('values that were not given are the defaults', () => {
  assert.deepEqual(readFlags({}), {
    name: undefined,
    colour: 'red',
    peer: [],
    maxRows: undefined,
    ratio: 1,
    fast: false,
    space: undefined,
  })
})

test('values are read as their types say', () => {
  const raw = { name: '5', colour: 'blue', peer: ['a', 'b'], 'max-rows': '7', ratio: '0.5', fast: true, space: '1.5GB' }
  const values = { name: '5', colour: 'blue', peer: ['a', 'b'], maxRows: 7, ratio: 0.5, fast: true, space: 1.5e9 }
  assert.deepEqual(readFlags(raw), values)
  assert.deepEqual(readFlags({ peer: 'a' }).peer, ['a'])
  assert.equal(readFlags({ fast: false }).fast, false)
})

test('a size is a number of bytes with a decimal or binary unit, or none', () => {
  const sizes = ['500MB', '500 mb', '10GiB', '0.5KiB', '12', '12B', '2TB'].map((space) => readFlags({ space }).space)
  assert.deepEqual(sizes, [5e8, 5e8, 10 * 2 ** 30, 512, 12, 12, 2e12])
})

const refused: [string, Record<string, unknown>, RegExp][] = [
  ['a number that is none', { 'max-rows': 'abc' }, /^--max-rows abc: expected a whole number from 1 to 10$/],
  ['an empty number', { 'max-rows': '' }, /--max-rows "": expected a whole number/],
  ['a fraction where a whole number is due', { 'max-rows': '1.5' }, /--max-rows 1\.5: expected a whole number/],
  ['a number below its range', { 'max-rows': '-3' }, /--max-rows -3/],
  ['a number above its range', { 'max-rows': '11' }, /--max-rows 11/],
  ['an infinite number', { ratio: 'Infinity' }, /^--ratio Infinity: expected a number above 0 and at most 1$/],
  ['NaN', { ratio: 'NaN' }, /--ratio NaN/],
  ['a bound that is not included', { ratio: '0' }, /--ratio 0:/],
  ['an option given twice', { name: ['a', 'b'] }, /^--name is given 2 times \(a, b\): give it once$/],
  ['a switch given twice', { fast: [true, true] }, /--fast is given 2 times/],
  ['a switch with a value', { fast: 'yes' }, /^--fast yes: it is a switch and takes no value$/],
  ['something that is no choice', { colour: 'pink' }, /^--colour pink: expected red, green or blue$/],
  ['a text that is switched off', { name: false }, /^there is no option --no-name$/],
  [
    'a size with an unknown unit',
    { space: '10 pints' },
    /^--space 10 pints: expected a size like 500MB, 10GiB or a number of bytes$/,
  ],
  ['a negative size', { space: '-1GB' }, /--space -1GB: expected a size/],
  ['a text without a value', { name: true }, /^--name needs a value$/],
  [
    'an unknown option with one like it',
    { 'max-row': '3' },
    /^there is no option --max-row: did you mean --max-rows\?$/,
  ],
  ['an unknown option with none like it', { zzz: '3' }, /^there is no option --zzz$/],
]

for (const [what, raw, message] of refused) {
  test(`${what} is refused by name and value`, () => {
    assert.throws(
      () => readFlags(raw),
      (error) => error instanceof UsageError && message.test(error.message),
    )
  })
}

test('an option has one name in each place', () => {
  assert.equal(flagOf('drainTimeout'), '--drain-timeout')
  assert.equal(variableOf('drainTimeout'), 'PETALS_DRAIN_TIMEOUT')
  assert.deepEqual(['drainTimeout', 'drain-timeout'].map(nameOfKey), ['drainTimeout', 'drainTimeout'])
})

test('the closest candidate is the one with the fewest edits, and none if nothing resembles the word', () => {
  assert.equal(closest('serv', ['serve', 'status']), 'serve')
  assert.equal(closest('statsu', ['serve', 'status']), 'status')
  assert.equal(closest('xyzzy', ['serve', 'status']), undefined)
})
