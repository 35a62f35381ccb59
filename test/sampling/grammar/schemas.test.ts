import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Ajv2020 } from 'ajv/dist/2020.js'
import formats from 'ajv-formats'
import type { Constraint } from '../../../src/sampling/grammar/constraint.ts'
import { ARRAYS } from './schemas/arrays.ts'
import type { SchemaCase } from './schemas/case.ts'
import { NUMBERS } from './schemas/numbers.ts'
import { OBJECTS } from './schemas/objects.ts'
import { REFERENCES } from './schemas/references.ts'
import { REFUSED } from './schemas/refused.ts'
import { SCALARS } from './schemas/scalars.ts'
import { STRINGS } from './schemas/strings.ts'
import { UNIONS } from './schemas/unions.ts'
import { accepts, grammars, writeRandomly } from './support.ts'

const GROUPS = { SCALARS, NUMBERS, STRINGS, ARRAYS, OBJECTS, UNIONS, REFERENCES }
const SEED = 20261129
const DRAWS = 3

const ajv = new Ajv2020({ strict: false, multipleOfPrecision: 9, discriminator: false })
formats.default(ajv)

function validatorOf(schema: SchemaCase[0]): (value: unknown) => boolean {
  // Alone in the store, but for the schema of schemas: others' $id and $anchor may be the same.
  ajv.removeSchema()
  return ajv.compile(schema)
}

const constraintOf = (schema: SchemaCase[0]): Constraint => ({ kind: 'json_schema', schema })

test('there are at least 200 schemas', () => {
  assert.ok(Object.values(GROUPS).flat().length + REFUSED.length >= 200)
})

for (const [group, cases] of Object.entries(GROUPS)) {
  test(`${group}: valid values pass token by token, however they are cut and spaced, and others do not`, () => {
    for (const [schema, valid, invalid] of cases) {
      const isValid = validatorOf(schema)
      const constraint = constraintOf(schema)
      for (const value of valid) {
        const what = `${JSON.stringify(schema)} and ${JSON.stringify(value)}`
        assert.ok(isValid(value), `ajv refuses ${what}`)
        assert.ok(accepts(constraint, JSON.stringify(value)), what)
        assert.ok(accepts(constraint, JSON.stringify(value, null, 2), SEED), what)
      }
      for (const value of invalid) {
        const what = `${JSON.stringify(schema)} and ${JSON.stringify(value)}`
        assert.ok(!isValid(value), `ajv accepts ${what}`)
        assert.ok(!accepts(constraint, JSON.stringify(value)), what)
      }
    }
  })

  test(`${group}: whatever is drawn fulfils its schema (seed ${SEED})`, () => {
    for (const [i, [schema]] of cases.entries()) {
      const isValid = validatorOf(schema)
      for (let draw = 0; draw < DRAWS; draw++) {
        const text = writeRandomly(constraintOf(schema), SEED + i * DRAWS + draw)
        assert.notEqual(text, undefined, `${JSON.stringify(schema)} does not end`)
        assert.ok(isValid(JSON.parse(text!)), `${JSON.stringify(schema)} and ${text}`)
      }
    }
  })
}

test('what cannot be enforced is refused by name and place', () => {
  for (const [schema, code, named] of REFUSED) {
    assert.throws(
      () => grammars.start(grammars.store(), constraintOf(schema), JSON.stringify(schema)),
      (error: Error & { code?: string }) => {
        assert.equal(error.code, code, `${JSON.stringify(schema)}: ${error.message}`)
        for (const part of named) assert.ok(error.message.includes(part), `${error.message} names ${part}`)
        return true
      },
      JSON.stringify(schema),
    )
  }
})
